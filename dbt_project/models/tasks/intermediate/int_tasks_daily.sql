{{
    config(
        incremental_strategy='counts',
        unique_key=['task_type', 'day'],
        meta={'changes_of': 'fct_tasks'},
        indexes=[{'columns': ['task_type', 'day'], 'unique': true}]
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

final as (

    select
        task_type,
        day,

        sum(change * (move = 'opened')::integer) as tasks_opened,
        sum(change * (move = 'reopened')::integer) as tasks_reopened,
        sum(change * (move = 'completed')::integer) as tasks_completed,
        sum(change * (move = 'abandoned')::integer) as tasks_abandoned,
        sum(change * (move = 'opened' and closed_on is null)::integer) as opened_still_open,
        sum(change * (move = 'opened' and completed_at is not null)::integer) as opened_then_completed,
        sum(change * (move = 'opened' and greatest(times_started, times_completed) > 1)::integer)
            as opened_then_reworked,
        sum(change * (move = 'opened' and assignee_count > 1)::integer) as opened_then_reassigned

    from moves

    group by 1, 2

)

select * from final
