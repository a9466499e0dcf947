-- What a destination that raw is replicated to has, and what it lacks, shows in what it has of these:
-- the collector numbers them without a gap while there is a destination. A gap there means that the
-- destination went back to an earlier state, as a snapshot of its disk is, while the source went on
-- from where it had confirmed. Both sides keep those of the last week.
create table raw.heartbeats (
    beat bigint not null,
    sent_at timestamptz not null default now(),
    loaded_xid xid8 not null default pg_current_xact_id()
);

-- Not unique in a destination, whose source may give numbers out again after a failover.
create index heartbeats_beat_idx on raw.heartbeats (beat);

comment on table raw.heartbeats is
    'Numbered by the source without a gap, so that a destination can tell that it lacks rows.';

create function raw.beat() returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    next_beat bigint;
begin
    -- Who comes second has been spoken for.
    if not pg_try_advisory_xact_lock(hashtext('headwater'), hashtext('heartbeats')) then
        return null;
    end if;
    select coalesce(max(beat), 0) + 1 into next_beat from raw.heartbeats;
    insert into raw.heartbeats (beat) values (next_beat);
    return next_beat;
end
$$;

create function raw.forget_heartbeats() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    delete from raw.heartbeats where beat < new.beat - 60000;
    return null;
end
$$;

create trigger forget_heartbeats after insert on raw.heartbeats
for each row when (new.beat % 1000 = 0) execute function raw.forget_heartbeats();
-- In a destination too, where rows come by replication.
alter table raw.heartbeats enable always trigger forget_heartbeats;

-- How many of the source's heartbeats this database has missed since it was linked, for good.
create function raw.missed_heartbeats() returns bigint
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select coalesce(max(beat) - min(beat) + 1 - count(distinct beat), 0) from raw.heartbeats
$$;
