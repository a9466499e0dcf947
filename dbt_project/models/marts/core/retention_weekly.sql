{{
    config(
        materialized='incremental',
        unique_key='cohort_week',
        meta={'changes_of': 'int_user_weeks'}
    )
}}

with

changes as (

    select * from {{ changes_of('int_user_weeks') }}

),

counts as (

    select
        cohort_week,
        active_week,
        change as users_active

    from changes
    {%- if continues() %}

    union all

    select
        cohort_week,
        active_week,
        users_active

    from {{ this }}
    {%- endif %}

),

active as (

    select
        cohort_week,
        active_week,
        sum(users_active)::bigint as users_active

    from counts

    group by 1, 2

    having sum(users_active) > 0

),

-- All of a cohort are active in its own week.
cohorts as (

    select
        cohort_week,
        users_active as cohort_users

    from active

    where cohort_week = active_week

),

weeks as (

    select distinct active_week from active

),

final as (

    select
        {{ surrogate_key(['cohorts.cohort_week', 'weeks.active_week']) }} as retention_key,
        cohorts.cohort_week,
        weeks.active_week,
        (weeks.active_week - cohorts.cohort_week) / 7 as weeks_since,
        cohorts.cohort_users,
        coalesce(active.users_active, 0) as users_active,
        round(coalesce(active.users_active, 0)::numeric / cohorts.cohort_users, 6) as retention_rate

    from cohorts

    inner join weeks on cohorts.cohort_week <= weeks.active_week

    left join active
        on cohorts.cohort_week = active.cohort_week and weeks.active_week = active.active_week

)

select * from final
