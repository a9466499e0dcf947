with

freshness as (

    select * from {{ ref('stg_source_freshness') }}

),

receipt_days as (

    select * from {{ ref('rejection_rates_daily') }}
    where events_accepted > 0

),

-- Of eight weeks: weekends and holidays without an event are usual where there were some.
pauses as (

    select
        day,
        day - lag(day) over (order by day) as days_since_last

    from receipt_days

    where day > (select max(newest.day) - 56 from receipt_days as newest)

    group by 1

),

usual as (

    select
        'raw.events' as source_table,
        case when count(*) >= 7 then max(days_since_last) * interval '24 hours' end as pause

    from pauses

),

limits as (

    select
        freshness.source_table,
        freshness.last_received_at,
        freshness.warn_after + greatest(usual.pause - freshness.warn_after, interval '0') as warn_after,
        freshness.error_after + greatest(usual.pause - freshness.error_after, interval '0') as error_after

    from freshness

    left join usual on freshness.source_table = usual.source_table

),

final as (

    select
        source_table,
        last_received_at,
        extract(epoch from warn_after)::bigint as warn_seconds,
        extract(epoch from error_after)::bigint as error_seconds,
        case
            when last_received_at < now() - error_after then 'error'
            when last_received_at < now() - warn_after then 'warn'
            else 'pass'
        end as status

    from limits

)

select * from final
