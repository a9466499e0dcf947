with

tasks as not materialized (

    select * from {{ ref('fct_tasks') }}

),

names as (

    select
        assignee,
        {{ shown_assignee('assignee') }} as name,
        count(*) as tasks

    from tasks

    group by 1

),

labels as (

    select
        name,
        {{ with_other('name', 11, 'sum(tasks)') }} as label

    from names

    group by 1

),

final as (

    select
        labels.label as assignee,
        tasks.opened_on as day,
        count(*) as tasks_opened,
        count(tasks.completed_at) as tasks_completed,
        count(*) filter (where tasks.closed_on is null) as tasks_open,
        count(tasks.wait_seconds) as tasks_waited,
        round(coalesce(sum(tasks.wait_seconds), 0))::bigint as wait_seconds,
        count(tasks.cycle_seconds) as tasks_timed,
        round(coalesce(sum(tasks.cycle_seconds), 0))::bigint as cycle_seconds

    from tasks

    inner join names on tasks.assignee is not distinct from names.assignee

    inner join labels on names.name = labels.name

    group by 1, 2

)

select * from final
