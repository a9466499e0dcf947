{{ config(materialized='table') }}

with

days as (

    select * from {{ ref('int_days') }}

),

years as (

    select
        date_trunc('year', min(day)::timestamp) as first_day,
        date_trunc('year', max(day)::timestamp) + interval '1 year - 1 day' as last_day

    from days

),

final as (

    select spine.day::date as day

    from years

    cross join generate_series(years.first_day, years.last_day, interval '1 day') as spine (day)

)

select * from final
