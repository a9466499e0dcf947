-- Every attempt, task, active user and conversion is counted on its day or week, however many
-- builds ago that was counted.
with

counted as (

    select
        'conversion_funnel_daily' as mart,
        cohort_on as day,
        sum(entered) as quantity

    from {{ ref('conversion_funnel_daily') }}

    where
        segment = 'all'
        and step_order = 1

    group by 2

    union all

    select
        'funnel_outcome_daily' as mart,
        cohort_on as day,
        sum(attempts) as quantity

    from {{ ref('funnel_outcome_daily') }}

    where segment = 'all'

    group by 2

    union all

    select
        'task_completion_daily' as mart,
        day,
        sum(tasks_opened) as quantity

    from {{ ref('task_completion_daily') }}

    group by 2

    union all

    select
        'retention_weekly' as mart,
        active_week as day,
        sum(users_active) as quantity

    from {{ ref('retention_weekly') }}

    group by 2

),

facts as (

    select
        marts.mart,
        progress.cohort_on as day,
        count(*) as quantity

    from {{ ref('fct_funnel_progress').render() }} as progress

    cross join (values ('conversion_funnel_daily'), ('funnel_outcome_daily')) as marts (mart)

    group by 1, 2

    union all

    select
        'task_completion_daily' as mart,
        opened_on as day,
        count(*) as quantity

    from {{ ref('fct_tasks') }}

    group by 2

    union all

    -- Retention is counted for so many weeks.
    select
        'retention_weekly' as mart,
        active_week as day,
        count(*) as quantity

    from (
        select distinct
            user_id,
            {{ report_week(report_date('occurred_at')) }} as active_week,
            min({{ report_week(report_date('occurred_at')) }}) over (partition by user_id) as cohort_week

        from {{ ref('fct_events') }}

        where is_interaction
    ) as active_users

    where {{ days_between('active_week', 'cohort_week') }} <= 7 * {{ project_setting('retention_weeks') }}::integer

    group by 2

)

select
    mart,
    day,
    counted.quantity as quantity_counted,
    facts.quantity as quantity_of_facts

from counted

full join facts using (mart, day)

where coalesce(counted.quantity, 0) <> coalesce(facts.quantity, 0)
