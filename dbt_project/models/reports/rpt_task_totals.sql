with

tasks as (

    select * from {{ ref('fct_tasks') }}

),

totals as (

    select
        task_type,
        count(*) as tasks_opened,
        count(completed_at) as tasks_completed,
        count(abandoned_at) as tasks_abandoned,
        count(*) filter (where closed_on is null) as backlog,
        {{ percentile(0.5, 'wait_seconds') }} as wait_seconds_p50,
        {{ percentile(0.5, 'cycle_seconds') }} as cycle_seconds_p50

    from tasks

    group by 1

),

final as (

    select
        *,
        {{ rate_of('completion_rate') }} as completion_rate

    from totals

)

select * from final
