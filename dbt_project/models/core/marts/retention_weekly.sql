{{
    config(
        materialized='incremental',
        unique_key='cohort_week',
        meta={'changes_of': 'int_user_weeks'},
        indexes=[{'columns': ['cohort_week']}]
    )
}}

with

changes as (

    select * from {{ changes_of('int_user_weeks') }}

),

{% if continues() -%}
-- Of those that are not at their end, every week begins another row.
concerned as (

    select cohort_week from changes

    union

    select cohort_week from {{ this }}
    where {{ is_of_another_day('active_week + 6') }}

),

{% endif -%}
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

    where cohort_week in (select concerned.cohort_week from concerned)
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
            (
                greatest({{ report_week(report_date(as_of())) }}, cohorts.last_active_week) - cohorts.cohort_week
            ) / 7,
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
