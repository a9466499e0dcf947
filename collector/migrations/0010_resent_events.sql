alter table raw.rejected_events add column resent_at timestamptz;

comment on column raw.rejected_events.resent_at is
    'When scripts/replay --rejected sent it again. What was refused once more has a later row.';
