with

task_days as not materialized (

    select * from {{ ref('task_completion_daily') }}

),

labels as (

    select
        task_type,
        {{ with_other('task_type', 11, 'sum(tasks_opened)') }} as label

    from task_days

    group by 1

),

tasks as not materialized (

    select * from {{ ref('fct_tasks') }}

),

usual_times as (

    select
        task_type,
        {{ usual_task_seconds() }} as seconds

    from tasks

    where completed_at is not null

    group by 1

),

last_event as (

    select {{ last_event_at() }} as last_event_at

),

final as (

    select
        labels.label as task_type,
        task_days.day,
        bool_and(
            coalesce(
                {{ end_of_day('task_days.day') }} + usual_times.seconds * interval '1 second'
                <= last_event.last_event_at,
                false
            )
        ) as is_complete,
        sum(task_days.tasks_opened)::bigint as tasks_opened,
        sum(task_days.opened_then_completed)::bigint as tasks_completed,
        sum(task_days.opened_then_reworked)::bigint as tasks_reworked,
        sum(task_days.opened_then_reassigned)::bigint as tasks_reassigned,
        sum(task_days.tasks_completed)::bigint as completions,
        sum(task_days.tasks_abandoned)::bigint as abandonments,
        sum(task_days.backlog)::bigint as backlog

    from task_days

    inner join labels using (task_type)

    left join usual_times using (task_type)

    cross join last_event

    group by 1, 2

)

select * from final
