{{
    config(
        unique_key='task_type',
        meta={'changes_of': 'fct_tasks'}
    )
}}

with

changes as (

    select * from {{ changes_of('fct_tasks') }}

),

tasks as (

    select * from {{ ref('fct_tasks') }}

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

    where task_type in (select changes.task_type from changes)
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

percentiles as (

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
        wait_seconds,
        cycle_seconds

    from {{ this }} as known

    where
        task_type in (select changes.task_type from changes)
        and not exists (
            select 1 from changed_days
            where known.task_type = changed_days.task_type and known.day = changed_days.day
        )
    {%- endif %}

),

final as (

    select
        task_type,
        day,
        totals.tasks_opened,
        totals.tasks_completed,
        totals.tasks_abandoned,
        totals.opened_then_completed,
        totals.opened_then_reworked,
        totals.opened_then_reassigned,
        percentiles.wait_seconds,
        percentiles.cycle_seconds

    from totals

    left join percentiles using (task_type, day)

)

select * from final
