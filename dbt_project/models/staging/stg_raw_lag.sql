{{ config(materialized='view') }}

with

unread as (

    select
        'raw.events' as raw_table,
        loaded_xid,
        received_at

    from {{ source('raw', 'events') }}

    where
        loaded_xid >= {{ read_below(ref('stg_events')) }}

    union all

    select
        'raw.users' as raw_table,
        loaded_xid,
        received_at

    from {{ source('raw', 'users') }}

    where
        loaded_xid >= {{ read_below(ref('stg_users')) }}

),

lag as (

    select
        raw_table,

        count(*) as unread_rows,
        count(*) filter (where loaded_xid >= pg_snapshot_xmin(pg_current_snapshot())) as held_rows,
        min(received_at) as oldest_received_at

    from unread

    group by 1

),

holder as (

    select * from {{ oldest_transaction() }}

),

final as (

    select
        lag.raw_table,
        lag.unread_rows,
        lag.held_rows,
        lag.oldest_received_at,
        holder.pid as holder_pid,
        holder.database_name as holder_database,
        holder.application_name as holder_application,
        holder.prepared_transaction as holder_prepared_transaction,
        holder.opened_at as holder_opened_at

    from lag

    left join holder on lag.held_rows > 0

)

select * from final
