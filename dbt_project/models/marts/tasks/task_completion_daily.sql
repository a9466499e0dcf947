{{ config(indexes=[{'columns': ['day']}]) }}

with

tasks_daily as (

    select * from {{ ref('int_tasks_daily') }}

),

days as (

    select * from {{ ref('int_days') }}

),

task_types as (

    select
        task_type,
        min(day) as first_day

    from tasks_daily

    where tasks_opened > 0

    group by 1

),

daily as (

    select
        task_type,
        day,
        coalesce(tasks_daily.tasks_opened, 0) as tasks_opened,
        coalesce(tasks_daily.tasks_completed, 0) as tasks_completed,
        coalesce(tasks_daily.tasks_abandoned, 0) as tasks_abandoned,
        coalesce(tasks_daily.opened_then_completed, 0) as opened_then_completed,
        coalesce(tasks_daily.opened_then_reworked, 0) as opened_then_reworked,
        coalesce(tasks_daily.opened_then_reassigned, 0) as opened_then_reassigned,
        tasks_daily.wait_seconds,
        tasks_daily.cycle_seconds

    from task_types

    inner join days on task_types.first_day <= days.day

    left join tasks_daily using (task_type, day)

),

final as (

    select
        {{ surrogate_key(['task_type', 'day']) }} as task_day_key,
        task_type,
        day,
        tasks_opened,
        tasks_completed,
        tasks_abandoned,
        (
            sum(tasks_opened - tasks_completed - tasks_abandoned) over (
                partition by task_type
                order by day
            )
        )::bigint as backlog,
        opened_then_completed,
        opened_then_reworked,
        opened_then_reassigned,
        round(opened_then_completed::numeric / nullif(tasks_opened, 0), 6) as completion_rate,
        round(wait_seconds[1], 3) as wait_seconds_p50,
        round(wait_seconds[2], 3) as wait_seconds_p90,
        round(wait_seconds[3], 3) as wait_seconds_p95,
        round(cycle_seconds[1], 3) as cycle_seconds_p50,
        round(cycle_seconds[2], 3) as cycle_seconds_p90,
        round(cycle_seconds[3], 3) as cycle_seconds_p95

    from daily

)

select * from final
