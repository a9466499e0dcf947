-- Tasks by day: the eleven types with most tasks, the rest summed.
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

)

select
    ranked.label as task_type,
    daily.day - %(first)s::date as day,
    sum(daily.tasks_opened)::bigint as opened,
    sum(daily.tasks_completed)::bigint as completed,
    sum(daily.tasks_abandoned)::bigint as abandoned,
    sum(daily.backlog)::bigint as backlog,
    sum(daily.opened_then_completed)::bigint as opened_then_completed,
    sum(daily.opened_then_reworked)::bigint as reworked,
    sum(daily.opened_then_reassigned)::bigint as reassigned

from task_completion_daily as daily

inner join ranked using (task_type)

where daily.day between %(first)s and %(last)s

group by 1, 2

order by 1, 2
