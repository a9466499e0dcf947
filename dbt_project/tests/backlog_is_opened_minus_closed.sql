-- The backlog at the end of the last day is the number of tasks that are open.
with

last_days as (

    select distinct on (task_type)
        task_type,
        backlog

    from {{ ref('task_completion_daily') }}

    order by task_type asc, day desc

),

open_tasks as (

    select
        task_type,
        count(*) filter (where closed_on is null) as open_count

    from {{ ref('fct_tasks') }}

    group by task_type

)

select
    task_type,
    last_days.backlog,
    open_tasks.open_count

from last_days

full join open_tasks using (task_type)

where last_days.backlog is distinct from open_tasks.open_count
