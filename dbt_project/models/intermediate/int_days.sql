{{ config(materialized='table') }}

with

events as (

    select * from {{ ref('fct_events') }}

),

user_updates as (

    select * from {{ ref('int_users__updates') }}

),

-- Each from one end of an index.
ends as (

    select min(occurred_on) as day from events

    union all

    select max(occurred_on) as day from events

    union all

    (
        select {{ report_date('occurred_at') }} as day from user_updates
        order by occurred_at
        limit 1
    )

    union all

    (
        select {{ report_date('occurred_at') }} as day from user_updates
        order by occurred_at desc
        limit 1
    )

),

final as (

    select days.day::date as day

    from (
        select
            min(day)::timestamp as first_day,
            max(day)::timestamp as last_day

        from ends
    ) as history

    cross join generate_series(history.first_day, history.last_day, interval '1 day') as days (day)

)

select * from final
