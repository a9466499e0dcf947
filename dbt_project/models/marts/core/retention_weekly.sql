with

user_weeks as (

    select * from {{ ref('int_user_weeks') }}

),

cohorts as (

    select
        cohort_week,
        count(distinct user_id) as cohort_users

    from user_weeks

    group by 1

),

weeks as (

    select distinct active_week from user_weeks

),

active as (

    select
        cohort_week,
        active_week,
        count(*) as users_active

    from user_weeks

    group by 1, 2

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
