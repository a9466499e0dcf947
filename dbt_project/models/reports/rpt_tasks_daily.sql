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

final as (

    select
        labels.label as task_type,
        task_days.day,
        sum(task_days.tasks_opened)::bigint as tasks_opened,
        sum(task_days.opened_then_completed)::bigint as tasks_completed,
        sum(task_days.opened_then_reworked)::bigint as tasks_reworked,
        sum(task_days.opened_then_reassigned)::bigint as tasks_reassigned,
        sum(task_days.tasks_completed)::bigint as completions,
        sum(task_days.tasks_abandoned)::bigint as abandonments,
        sum(task_days.backlog)::bigint as backlog

    from task_days

    inner join labels using (task_type)

    group by 1, 2

)

select * from final
