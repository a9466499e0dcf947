with

tasks as not materialized (

    select * from {{ ref('fct_tasks') }}

),

labels as (

    select
        task_type,
        {{ with_other('task_type', 11, 'count(*)') }} as label

    from tasks

    group by 1

),

times as (

    select
        labels.label as task_type,
        tasks.opened_on as day,
        {{ is_exact('labels.label') }} as is_exact,
        tasks.cycle_seconds

    from tasks

    inner join labels using (task_type)

    where tasks.cycle_seconds is not null

),

counted as (

    select
        task_type,
        day,
        is_exact,
        case when is_exact then cycle_seconds else {{ within_one_percent('cycle_seconds') }} end as seconds,
        count(*) as completions

    from times

    group by 1, 2, 3, 4

),

final as (

    select
        task_type,
        day,
        is_exact,
        array_agg(seconds order by seconds) as seconds,
        array_agg(completions order by seconds) as counts

    from counted

    group by 1, 2, 3

)

select * from final
