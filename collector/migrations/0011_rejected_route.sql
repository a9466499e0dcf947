alter table raw.rejected_events add column route text;
alter table raw.rejected_events add column put_away_at timestamptz;

comment on column raw.rejected_events.route is
    'Where it came in, so that it can be sent there again; unknown (null) before this column was.';
comment on column raw.rejected_events.resent_at is
    'When scripts/replay --rejected sent it again and it was accepted.';
comment on column raw.rejected_events.put_away_at is
    'When scripts/replay --rejected --put-away gave it up: it is not sent again.';
