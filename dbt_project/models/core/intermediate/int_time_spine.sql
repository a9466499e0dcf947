{{ config(materialized='table') }}

with

-- Both from the ends of an index, as are the updates: each is read once only, so that it can be.
event_days as (

    select
        min(occurred_on) as first_day,
        max(occurred_on) as last_day

    from {{ ref('int_events') }}

),

first_update as (

    select {{ report_date('occurred_at') }} as day from {{ ref('int_users__updates') }}
    order by occurred_at
    limit 1

),

last_update as (

    select {{ report_date('occurred_at') }} as day from {{ ref('int_users__updates') }}
    order by occurred_at desc
    limit 1

),

history as (

    select
        date_trunc('year', least(event_days.first_day, first_update.day)::timestamp) as first_day,
        date_trunc('year', greatest(event_days.last_day, last_update.day)::timestamp)
        + interval '1 year' - interval '1 day' as last_day

    from event_days

    left join first_update on true

    left join last_update on true

),

final as (

    select spine.day::date as day

    from history

    cross join generate_series(history.first_day, history.last_day, interval '1 day') as spine (day)

)

select * from final
