with

receipt_days as (

    select * from {{ ref('rejection_rates_daily') }}
    where events_accepted > 0

),

events as (

    select * from {{ ref('fct_events') }}

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
        max(day) as last_on,
        case when count(*) < 7 then 48 else 24 * max(days_since_last) end as usual_hours

    from pauses

),

final as (

    select
        1 as receipt_key,
        coalesce(
            (
                select max(events.received_at) from events
                where events.occurred_on >= usual.last_on - 1
            ),
            {{ end_of_day('usual.last_on') }}
        ) as last_received_at,
        usual.usual_hours

    from usual

    where usual.last_on is not null

)

select * from final
