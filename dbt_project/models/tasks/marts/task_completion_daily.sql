{{
    config(
        materialized='incremental',
        unique_key='task_type',
        meta={'changes_of': 'fct_tasks'},
        indexes=[{'columns': ['task_type']}, {'columns': ['day']}]
    )
}}

with

tasks_daily as (

    select * from {{ ref('int_tasks_daily') }}
    where {{ is_changed_in('fct_tasks', 'task_type', of_day='day') }}

),

times_daily as (

    select * from {{ ref('int_task_times_daily') }}
    where {{ is_changed_in('fct_tasks', 'task_type', of_day='day') }}

),

totals as (

    select
        *,

        (
            sum(tasks_opened + tasks_reopened - tasks_completed - tasks_abandoned) over type_days
        )::bigint as backlog,
        lead(day) over type_days as next_day

    from tasks_daily

    window type_days as (
        partition by task_type
        order by day
    )

),

-- A backlog is carried forward over days on which nothing happened, so far as the setting says.
days as (

    select
        totals.task_type,
        totals.day + following.days as day,
        totals.backlog

    from totals

    cross join lateral generate_series(
        0,
        case
            when totals.backlog > 0
                then least(
                    {{ days_between('totals.next_day', 'totals.day') }} - 1,
                    {{ project_setting('carry_forward_days') }}::integer,
                    greatest({{ days_between(report_date(as_of()), 'totals.day') }}, 0)
                )
            else 0
        end
    ) as following (days)

),

final as (

    select
        {{ surrogate_key(['days.task_type', 'days.day']) }} as task_day_key,
        days.task_type,
        days.day,
        coalesce(tasks_daily.tasks_opened, 0) as tasks_opened,
        coalesce(tasks_daily.tasks_reopened, 0) as tasks_reopened,
        coalesce(tasks_daily.tasks_completed, 0) as tasks_completed,
        coalesce(tasks_daily.tasks_abandoned, 0) as tasks_abandoned,
        days.backlog,
        coalesce(tasks_daily.opened_still_open, 0) as opened_still_open,
        coalesce(tasks_daily.opened_then_completed, 0) as opened_then_completed,
        coalesce(tasks_daily.opened_then_reworked, 0) as opened_then_reworked,
        coalesce(tasks_daily.opened_then_reassigned, 0) as opened_then_reassigned,
        {{ rate('tasks_daily.opened_then_completed', 'tasks_daily.tasks_opened') }} as completion_rate,
        days.day < {{ report_date(as_of()) }} and coalesce(tasks_daily.opened_still_open, 0) = 0 as is_complete,
        {{ to_millisecond('times_daily.wait_seconds[1]') }} as wait_seconds_p50,
        {{ to_millisecond('times_daily.wait_seconds[2]') }} as wait_seconds_p90,
        {{ to_millisecond('times_daily.wait_seconds[3]') }} as wait_seconds_p95,
        {{ to_millisecond('times_daily.cycle_seconds[1]') }} as cycle_seconds_p50,
        {{ to_millisecond('times_daily.cycle_seconds[2]') }} as cycle_seconds_p90,
        {{ to_millisecond('times_daily.cycle_seconds[3]') }} as cycle_seconds_p95

    from days

    left join tasks_daily on days.task_type = tasks_daily.task_type and days.day = tasks_daily.day

    left join times_daily on days.task_type = times_daily.task_type and days.day = times_daily.opened_on

)

select * from final
