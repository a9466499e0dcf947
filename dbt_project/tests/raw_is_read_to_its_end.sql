{{ config(severity='warn') }}

-- Rows that landed more than an hour before the build and that no build has read, with whoever
-- keeps them from being read. Only a transaction that has an id holds the horizon of `unread` back,
-- in whatever database of the cluster; snapshots of readers and replication slots do not.
-- Locks on transaction ids are visible to every role, other columns of pg_stat_activity are not.
with

marks as (

    select * from {{ watermarks() }}

),

landed as (

    select
        'raw.events' as raw_table,
        loaded_xid,
        received_at

    from {{ source('raw', 'events') }}

    where
        loaded_xid >= (
            select coalesce(max(marks.read_below_xid), '0') from marks
            where marks.model_name = '{{ ref('stg_events').schema }}.{{ ref('stg_events').identifier }}'
        )

    union all

    select
        'raw.users' as raw_table,
        loaded_xid,
        received_at

    from {{ source('raw', 'users') }}

    where
        loaded_xid >= (
            select coalesce(max(marks.read_below_xid), '0') from marks
            where marks.model_name = '{{ ref('stg_users').schema }}.{{ ref('stg_users').identifier }}'
        )

),

lag as (

    select
        raw_table,

        count(*) as unread_rows,
        min(received_at) as oldest_received_at

    from landed

    where received_at < {{ as_of() }} - interval '1 hour'

    group by 1

),

transactions as (

    select
        locks.pid,
        activity.datname::text as database_name,
        activity.application_name,
        null::text as prepared_transaction,
        clock_timestamp() - activity.xact_start as open_for,
        locks.transactionid

    from pg_locks as locks

    inner join pg_stat_activity as activity on locks.pid = activity.pid

    where
        locks.locktype = 'transactionid'
        and locks.granted
        and locks.pid <> pg_backend_pid()

    union all

    select
        null::integer as pid,
        database::text as database_name,
        null::text as application_name,
        gid as prepared_transaction,
        clock_timestamp() - prepared as open_for,
        transaction as transactionid

    from pg_prepared_xacts

),

holder as (

    select * from transactions

    order by age(transactionid) desc

    limit 1

)

select
    lag.raw_table,
    lag.unread_rows,
    lag.oldest_received_at,
    holder.pid as holder_pid,
    holder.database_name as holder_database,
    holder.application_name as holder_application,
    holder.prepared_transaction as holder_prepared_transaction,
    holder.open_for as holder_open_for

from lag

left join holder on true
