{{ config(materialized='table') }}

with

events as (

    select * from {{ ref('fct_events') }}

),

user_updates as (

    select * from {{ ref('int_users__updates') }}

),

active_days as (

    select occurred_on as day from events

    union

    select {{ report_date('occurred_at') }} as day from user_updates

),

final as (

    select days.day::date as day

    from (
        select
            min(day)::timestamp as first_day,
            max(day)::timestamp as last_day

        from active_days
    ) as history

    cross join generate_series(history.first_day, history.last_day, interval '1 day') as days (day)

)

select * from final
