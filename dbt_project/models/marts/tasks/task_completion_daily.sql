with

tasks as (

    select * from {{ ref('fct_tasks') }}

),

days as (

    select * from {{ ref('int_days') }}

),

task_types as (

    select
        task_type,
        min(opened_on) as first_day

    from tasks

    group by 1

),

opened as (

    select
        task_type,
        opened_on as day,

        count(*) as tasks_opened,
        count(completed_at) as opened_then_completed,
        count(*) filter (where greatest(times_started, times_completed) > 1) as opened_then_reworked,
        count(*) filter (where assignee_count > 1) as opened_then_reassigned,
        percentile_cont(array[0.5, 0.9, 0.95]) within group (order by wait_seconds) as wait_seconds,
        percentile_cont(array[0.5, 0.9, 0.95]) within group (order by cycle_seconds) as cycle_seconds

    from tasks

    group by 1, 2

),

closed as (

    select
        task_type,
        closed_on as day,

        count(completed_at) as tasks_completed,
        count(abandoned_at) as tasks_abandoned

    from tasks

    where closed_on is not null

    group by 1, 2

),

daily as (

    select
        task_types.task_type,
        days.day,
        coalesce(opened.tasks_opened, 0) as tasks_opened,
        coalesce(closed.tasks_completed, 0) as tasks_completed,
        coalesce(closed.tasks_abandoned, 0) as tasks_abandoned,
        coalesce(opened.opened_then_completed, 0) as opened_then_completed,
        coalesce(opened.opened_then_reworked, 0) as opened_then_reworked,
        coalesce(opened.opened_then_reassigned, 0) as opened_then_reassigned,
        opened.wait_seconds,
        opened.cycle_seconds

    from task_types

    inner join days on task_types.first_day <= days.day

    left join opened
        on task_types.task_type = opened.task_type and days.day = opened.day

    left join closed
        on task_types.task_type = closed.task_type and days.day = closed.day

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
        round(wait_seconds[1]::numeric, 3) as wait_seconds_p50,
        round(wait_seconds[2]::numeric, 3) as wait_seconds_p90,
        round(wait_seconds[3]::numeric, 3) as wait_seconds_p95,
        round(cycle_seconds[1]::numeric, 3) as cycle_seconds_p50,
        round(cycle_seconds[2]::numeric, 3) as cycle_seconds_p90,
        round(cycle_seconds[3]::numeric, 3) as cycle_seconds_p95

    from daily

)

select * from final
