-- Who keeps committed rows from being read: the oldest open transaction with an id, in whatever
-- database of the cluster; one row or none. Snapshots of readers and replication slots hold nothing
-- back here. Times of other roles' transactions are seen with the rights of this function's owner
-- only (null where that is no superuser and has not pg_read_all_stats); it shows no query.
create function raw.oldest_transaction() returns table (
    pid integer,
    database_name text,
    application_name text,
    prepared_transaction text,
    opened_at timestamptz
)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    with

    transactions as (

        select
            locks.pid,
            activity.datname::text as database_name,
            activity.application_name,
            null::text as prepared_transaction,
            activity.xact_start as opened_at,
            locks.transactionid
        from pg_locks as locks
        inner join pg_stat_activity as activity on locks.pid = activity.pid
        where locks.locktype = 'transactionid'
            and locks.granted
            and locks.pid <> pg_backend_pid()

        union all

        select
            null::integer as pid,
            database::text as database_name,
            null::text as application_name,
            gid as prepared_transaction,
            prepared as opened_at,
            transaction as transactionid
        from pg_prepared_xacts

    )

    select pid, database_name, application_name, prepared_transaction, opened_at
    from transactions
    order by age(transactionid) desc
    limit 1
$$;
