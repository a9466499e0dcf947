-- A dump carries loaded_xid along, but the transaction ids of a new cluster start anew: rows whose
-- id this cluster has yet to give out would be read late, and again. They are stamped as landed
-- now. Called at the end of every scripts/migrate; without such rows it only looks.
create function raw.stamp_rows_of_another_cluster() returns void
language plpgsql as $$
declare
    stamped regclass;
    restamped bigint;
begin
    for stamped in
        select attrelid::regclass
        from pg_attribute
        inner join pg_class on pg_class.oid = attrelid
        where relnamespace = 'raw'::regnamespace
            and relkind in ('r', 'p')
            and not relispartition
            and attname = 'loaded_xid'
    loop
        -- No row that a statement sees can have been landed here by a transaction after it.
        execute format(
            'update %s set loaded_xid = pg_current_xact_id()
            where loaded_xid >= pg_snapshot_xmax(pg_current_snapshot())',
            stamped
        );
        get diagnostics restamped = row_count;
        if restamped > 0 then
            raise warning '% rows of % were landed in another cluster and count as landed now: the next dbt build compares them with what it knows.',
                restamped, stamped;
        end if;
    end loop;
end
$$;
