-- Partitions of raw.events look after themselves. They are made a year ahead by whoever runs: the
-- collector, a build, scripts/migrate. A partition is made beside the table and then attached, which
-- waits neither for readers nor for inserts, but for those who use the default partition, and for
-- them no longer than lock_timeout: there is a year to try again.
--
-- The default partition stays, as a net: without it an insert that meets no partition, of a
-- collector whose clock is wrong or of a source that is ahead, would be refused. It costs that an
-- old partition cannot be detached `concurrently`; a plain `detach` with a lock_timeout can.
drop function raw.ensure_event_partitions(integer);

create function raw.event_partition(month date) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
    select 'events_' || to_char(month, 'YYYY_MM')
$$;

-- Makes a table that raw.events can have as a partition: all of its month, and nothing else. Its
-- name is its own until then, so that no partition that was detached is ever taken for it.
create function raw.make_event_table(month date) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    execute format('drop table if exists raw.%I', raw.event_partition(month) || '_new');
    execute format(
        'create table raw.%1$I (like raw.events including all, check (
            received_at is not null and received_at >= %2$L and received_at < %3$L
        ))',
        raw.event_partition(month) || '_new',
        month::timestamp at time zone 'UTC',
        (month + interval '1 month') at time zone 'UTC'
    );
end
$$;

create function raw.attach_event_table(month date) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    execute format(
        'alter table raw.%1$I rename to %2$I',
        raw.event_partition(month) || '_new',
        raw.event_partition(month)
    );
    execute format(
        'alter table raw.events attach partition raw.%I for values from (%L) to (%L)',
        raw.event_partition(month),
        month::timestamp at time zone 'UTC',
        (month + interval '1 month') at time zone 'UTC'
    );
end
$$;

create function raw.has_event_partition(month date) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
    select to_regclass('raw.' || quote_ident(raw.event_partition(month))) is not null
$$;

-- Makes the missing partitions from the month of `at` on, and returns how many. Where somebody is
-- in the way it makes fewer; a month whose rows are in the default partition is left to
-- raw.empty_default_partition().
create function raw.ensure_event_partitions(
    months_ahead integer, at timestamptz default now()
) returns integer
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = '1s' as $$
declare
    first_month date := date_trunc('month', at at time zone 'UTC');
    month date;
    created integer := 0;
begin
    for month in
        select first_month + make_interval(months => n)
        from generate_series(0, months_ahead) as n
        where not raw.has_event_partition((first_month + make_interval(months => n))::date)
    loop
        -- One at a time: who comes second finds it made.
        if not pg_try_advisory_xact_lock(hashtext('headwater'), hashtext('partitions')) then
            exit;
        end if;
        continue when raw.has_event_partition(month) or exists (
            select from raw.events_default
            where received_at >= month::timestamp at time zone 'UTC'
                and received_at < (month + interval '1 month') at time zone 'UTC'
        );
        begin
            perform raw.make_event_table(month);
            perform raw.attach_event_table(month);
            created := created + 1;
        exception
            when lock_not_available or check_violation then
                exit;
        end;
    end loop;
    return created;
end
$$;

-- The same for those who may not create tables: the collector and dbt.
create function raw.keep_event_partitions() returns integer
language sql security definer set search_path = pg_catalog, pg_temp as $$
    select raw.ensure_event_partitions(12)
$$;

-- Until when raw.events has a partition for every moment from now on; null where it has none now.
create function raw.event_partitions_end() returns timestamptz
language sql stable set search_path = pg_catalog, pg_temp as $$
    select min(month) at time zone 'UTC'
    from generate_series(
        date_trunc('month', now() at time zone 'UTC'), now() at time zone 'UTC' + interval '10 years', interval '1 month'
    ) as month
    where not exists (
        select from pg_inherits
        where inhparent = 'raw.events'::regclass
            and inhrelid = to_regclass('raw.' || quote_ident(raw.event_partition(month::date)))
    )
    having min(month) > now() at time zone 'UTC'
$$;

-- Moves rows that met no partition into those of their months, while others are landed: copies what
-- is committed, and then, with raw.events locked for a moment, what came meanwhile. Raises
-- lock_not_available where that cannot be had within lock_timeout; the next time copies anew.
create procedure raw.empty_default_partition()
language plpgsql as $$
declare
    months date[];
    month date;
    copied_below xid8;
    copied bigint := 0;
    known bigint;
    others bigint;
begin
    select array_agg(distinct months_of_rows.first_day) into months
    from (
        select distinct date_trunc('month', received_at at time zone 'UTC')::date as first_day
        from raw.events_default
        where isfinite(received_at)
    ) as months_of_rows
    where not raw.has_event_partition(months_of_rows.first_day);
    if months is null then
        return;
    end if;
    copied_below := pg_snapshot_xmin(pg_current_snapshot());
    foreach month in array months loop
        perform raw.make_event_table(month);
        copied := copied + raw.copy_from_default(month, 'loaded_xid < $1', copied_below);
    end loop;
    commit;

    set local lock_timeout = '1s';
    lock table raw.events in access exclusive mode;
    select
        count(*) filter (where date_trunc('month', received_at at time zone 'UTC')::date = any(months)
            and loaded_xid < copied_below),
        count(*) filter (where date_trunc('month', received_at at time zone 'UTC')::date <> all(months))
    into known, others
    from raw.events_default;
    if known <> copied then
        raise exception using errcode = 'lock_not_available', message = 'rows were erased meanwhile';
    end if;
    foreach month in array months loop
        perform raw.copy_from_default(month, 'loaded_xid >= $1', copied_below);
    end loop;
    if others = 0 then
        truncate raw.events_default;
    else
        delete from raw.events_default
        where date_trunc('month', received_at at time zone 'UTC')::date = any(months);
    end if;
    foreach month in array months loop
        perform raw.attach_event_table(month);
    end loop;
end
$$;

create function raw.copy_from_default(month date, which text, xid xid8) returns bigint
language plpgsql as $$
declare
    copied bigint;
begin
    execute format(
        'insert into raw.%I select * from raw.events_default
        where %s and received_at >= %L and received_at < %L',
        raw.event_partition(month) || '_new',
        which,
        month::timestamp at time zone 'UTC',
        (month + interval '1 month') at time zone 'UTC'
    ) using xid;
    get diagnostics copied = row_count;
    return copied;
end
$$;
