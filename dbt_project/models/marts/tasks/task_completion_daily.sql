{{
    config(
        materialized='incremental',
        unique_key='task_type',
        meta={'changes_of': 'fct_tasks'},
        indexes=[{'columns': ['day']}]
    )
}}

with

changes as (

    select * from {{ changes_of('fct_tasks') }}

),

tasks as (

    select * from {{ ref('fct_tasks') }}

),

days as (

    select * from {{ ref('int_days') }}

),

openings_and_closings as (

    select
        *,
        opened_on as day,
        change as opened,
        0 as closed

    from changes

    union all

    select
        *,
        closed_on as day,
        0 as opened,
        change as closed

    from changes

    where closed_on is not null

),

counts as (

    select
        task_type,
        day,

        sum(opened) as tasks_opened,
        sum(closed) filter (where completed_at is not null) as tasks_completed,
        sum(closed) filter (where abandoned_at is not null) as tasks_abandoned,
        sum(opened) filter (where completed_at is not null) as opened_then_completed,
        sum(opened) filter (where greatest(times_started, times_completed) > 1) as opened_then_reworked,
        sum(opened) filter (where assignee_count > 1) as opened_then_reassigned

    from openings_and_closings

    group by 1, 2
    {%- if continues() %}

    union all

    select
        task_type,
        day,
        tasks_opened,
        tasks_completed,
        tasks_abandoned,
        opened_then_completed,
        opened_then_reworked,
        opened_then_reassigned

    from {{ this }}
    {%- endif %}

),

-- What came as it went is no change.
changed_times as (

    select
        task_type,
        opened_on as day

    from changes

    where num_nonnulls(wait_seconds, cycle_seconds) > 0

    group by 1, 2, wait_seconds, cycle_seconds

    having sum(change) <> 0

),

changed_days as (

    select distinct
        task_type,
        day

    from changed_times

),

durations as (

    select
        task_type,
        opened_on as day,

        percentile_cont(array[0.5, 0.9, 0.95]) within group (order by wait_seconds)::numeric[] as wait_seconds,
        percentile_cont(array[0.5, 0.9, 0.95]) within group (order by cycle_seconds)::numeric[] as cycle_seconds

    from tasks

    where (task_type, opened_on) in (select changed_days.* from changed_days)

    group by 1, 2
    {%- if continues() %}

    union all

    select
        task_type,
        day,
        array[wait_seconds_p50, wait_seconds_p90, wait_seconds_p95] as wait_seconds,
        array[cycle_seconds_p50, cycle_seconds_p90, cycle_seconds_p95] as cycle_seconds

    from {{ this }}

    where (task_type, day) not in (select changed_days.* from changed_days)
    {%- endif %}

),

totals as (

    select
        task_type,
        day,

        coalesce(sum(tasks_opened), 0)::bigint as tasks_opened,
        coalesce(sum(tasks_completed), 0)::bigint as tasks_completed,
        coalesce(sum(tasks_abandoned), 0)::bigint as tasks_abandoned,
        coalesce(sum(opened_then_completed), 0)::bigint as opened_then_completed,
        coalesce(sum(opened_then_reworked), 0)::bigint as opened_then_reworked,
        coalesce(sum(opened_then_reassigned), 0)::bigint as opened_then_reassigned

    from counts

    group by 1, 2

),

task_types as (

    select
        task_type,
        min(day) as first_day

    from totals

    where tasks_opened > 0

    group by 1

),

daily as (

    select
        task_type,
        day,
        coalesce(totals.tasks_opened, 0) as tasks_opened,
        coalesce(totals.tasks_completed, 0) as tasks_completed,
        coalesce(totals.tasks_abandoned, 0) as tasks_abandoned,
        coalesce(totals.opened_then_completed, 0) as opened_then_completed,
        coalesce(totals.opened_then_reworked, 0) as opened_then_reworked,
        coalesce(totals.opened_then_reassigned, 0) as opened_then_reassigned,
        durations.wait_seconds,
        durations.cycle_seconds

    from task_types

    inner join days on task_types.first_day <= days.day

    left join totals using (task_type, day)

    left join durations using (task_type, day)

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
