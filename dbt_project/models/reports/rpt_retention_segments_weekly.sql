with

sessions as not materialized (

    select * from {{ ref('fct_sessions') }}

),

weeks as (

    select * from {{ ref('retention_weekly') }}

),

first_sessions as (

    select distinct on (user_id) * from sessions
    order by user_id, session_number

),

active_weeks as (

    select
        user_id,
        {{ report_week('started_on') }} as active_week

    from sessions

    union distinct

    select
        user_id,
        {{ report_week(report_date('ended_at')) }} as active_week

    from sessions

),

cut as (

    select
        first_sessions.user_id,
        {{ report_week('first_sessions.started_on') }} as cohort_week,
        segments.segment,
        segments.segment_value

    from first_sessions

    cross join
        lateral (
            values
            ('all', 'all'),
            ('source', first_sessions.source),
            ('traffic_source', first_sessions.traffic_source),
            ('device', coalesce(first_sessions.device, 'unknown'))
        ) as segments (segment, segment_value)

),

labels as (

    select
        segment,
        segment_value,
        {{ with_other('segment_value', 7, 'count(*)', within='segment') }} as label

    from cut

    group by 1, 2

),

cohorts as (

    select
        cut.segment,
        labels.label as segment_value,
        cut.cohort_week,
        active_weeks.active_week,
        count(*) as users_active

    from cut

    inner join labels using (segment, segment_value)

    inner join active_weeks using (user_id)

    group by 1, 2, 3, 4

),

-- Weeks that are over, those without anybody included.
final as (

    select
        segments.segment,
        segments.segment_value,
        weeks.cohort_week as day,
        array_agg(coalesce(cohorts.users_active, 0) order by weeks.weeks_since) as users_active

    from weeks

    -- All of a cohort are active in its own week.
    inner join cohorts as segments
        on weeks.cohort_week = segments.cohort_week and weeks.cohort_week = segments.active_week

    left join cohorts
        on
            segments.segment = cohorts.segment
            and segments.segment_value = cohorts.segment_value
            and weeks.cohort_week = cohorts.cohort_week
            and weeks.active_week = cohorts.active_week

    where weeks.is_complete

    group by 1, 2, 3

)

select * from final
