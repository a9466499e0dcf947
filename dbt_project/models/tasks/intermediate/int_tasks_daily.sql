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

moves as (

    select
        *,
        opened_on as day,
        'opened' as move

    from changes

    union all

    select
        changes.*,
        status_changes.day,
        status_changes.status as move

    from changes

    cross join jsonb_to_recordset(changes.status_changes) as status_changes (day date, status text)

),

counts as (

    select
        task_type,
        day,
        change * (move = 'opened')::integer as tasks_opened,
        change * (move = 'reopened')::integer as tasks_reopened,
        change * (move = 'completed')::integer as tasks_completed,
        change * (move = 'abandoned')::integer as tasks_abandoned,
        change * (move = 'opened' and closed_on is null)::integer as opened_still_open,
        change * (move = 'opened' and completed_at is not null)::integer as opened_then_completed,
        change * (move = 'opened' and greatest(times_started, times_completed) > 1)::integer as opened_then_reworked,
        change * (move = 'opened' and assignee_count > 1)::integer as opened_then_reassigned

    from moves
    {%- if continues() %}

    union all

    select
        task_type,
        day,
        tasks_opened,
        tasks_reopened,
        tasks_completed,
        tasks_abandoned,
        opened_still_open,
        opened_then_completed,
        opened_then_reworked,
        opened_then_reassigned

    from {{ this }}

    where task_type in (select changes.task_type from changes)
    {%- endif %}

),

final as (

    select
        task_type,
        day,

        sum(tasks_opened)::bigint as tasks_opened,
        sum(tasks_reopened)::bigint as tasks_reopened,
        sum(tasks_completed)::bigint as tasks_completed,
        sum(tasks_abandoned)::bigint as tasks_abandoned,
        sum(opened_still_open)::bigint as opened_still_open,
        sum(opened_then_completed)::bigint as opened_then_completed,
        sum(opened_then_reworked)::bigint as opened_then_reworked,
        sum(opened_then_reassigned)::bigint as opened_then_reassigned

    from counts

    group by 1, 2

    -- A day on which nothing happened any more has no row.
    having sum(tasks_opened + tasks_reopened + tasks_completed + tasks_abandoned) > 0

)

select * from final
