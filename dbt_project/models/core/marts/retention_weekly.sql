{{
    config(
        materialized='incremental',
        unique_key='cohort_week',
        meta={'changes_of': 'int_user_weeks'},
        indexes=[{'columns': ['cohort_week']}]
    )
}}

with

active as (

    select * from {{ ref('int_cohort_weeks') }}
    where {{ is_changed_in('int_user_weeks', 'cohort_week', of_day='active_week + 6') }}

),

-- All of a cohort are active in its own week.
cohorts as (

    select
        cohort_week,
        max(users_active) filter (where active_week = cohort_week) as cohort_users,
        max(active_week) as last_active_week

    from active

    group by 1

),

weeks as (

    select
        cohorts.cohort_week,
        cohorts.cohort_users,
        following.weeks as weeks_since,
        cohorts.cohort_week + 7 * following.weeks as active_week

    from cohorts

    cross join lateral generate_series(
        0,
        least(
            {{ days_between(
                'greatest(' ~ report_week(report_date(as_of())) ~ ', cohorts.last_active_week)', 'cohorts.cohort_week'
            ) }} / 7,
            {{ project_setting('retention_weeks') }}::integer
        )
    ) as following (weeks)

),

final as (

    select
        {{ surrogate_key(['weeks.cohort_week', 'weeks.active_week']) }} as retention_key,
        weeks.cohort_week,
        weeks.active_week,
        weeks.weeks_since,
        weeks.cohort_users,
        coalesce(active.users_active, 0) as users_active,
        {{ rate('coalesce(active.users_active, 0)', 'weeks.cohort_users') }} as retention_rate,
        weeks.active_week + 6 < {{ report_date(as_of()) }} as is_complete

    from weeks

    left join active
        on weeks.cohort_week = active.cohort_week and weeks.active_week = active.active_week

)

select * from final
