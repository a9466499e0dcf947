with

tasks as not materialized (

    select * from {{ ref('fct_tasks') }}

),

usual as (

    select
        task_type,
        {{ usual_task_seconds() }}::bigint as usual_seconds

    from tasks

    where completed_at is not null

    group by 1

),

open_tasks as (

    select
        task_key,
        user_id,
        task_type,
        status,
        assignee,
        opened_on,
        extract(epoch from {{ last_event_at() }} - opened_at)::bigint as open_seconds

    from tasks

    where closed_on is null

),

overdue as (

    select
        open_tasks.*,
        usual.usual_seconds,
        count(*) over (partition by task_type) as tasks_overdue,
        row_number() over (order by open_tasks.open_seconds desc, open_tasks.task_key asc) as place

    from open_tasks

    inner join usual using (task_type)

    where open_tasks.open_seconds > usual.usual_seconds

),

final as (

    select
        task_key,
        user_id,
        {{ user_key('user_id') }} as user_key,
        task_type,
        status,
        {{ shown_assignee('assignee') }} as assignee,
        opened_on,
        open_seconds,
        usual_seconds,
        tasks_overdue

    from overdue

    where place <= 60

)

select * from final
