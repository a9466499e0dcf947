-- Completed tasks by day of opening and cycle time. Bin n holds 2^(n/4) to 2^((n+1)/4) seconds.
with

ranked as (

    select
        task_type,
        case
            when row_number() over (order by sum(tasks_opened) desc, task_type) <= 11 then task_type
            else '(others)'
        end as label

    from task_completion_daily

    group by 1

),

binned as (

    select
        ranked.label as task_type,
        tasks.opened_on - %(first)s::date as day,
        floor(4 * ln(greatest(tasks.cycle_seconds, 1)::float) / ln(2::float))::integer as bin,
        count(*) as tasks

    from fct_tasks as tasks

    inner join ranked using (task_type)

    where
        tasks.cycle_seconds is not null
        and tasks.opened_on between %(first)s and %(last)s

    group by 1, 2, 3

)

select
    task_type,
    day,
    array_agg(bin order by bin) as bins,
    array_agg(tasks order by bin) as counts

from binned

group by 1, 2

order by 1, 2
