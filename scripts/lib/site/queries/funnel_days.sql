-- Attempts by cohort day and cut: how many reached each step, and whether their window is over. Of
-- each segment the eight values with most attempts; the rest is summed.
with

ranked as (

    select
        segment,
        segment_value,
        case
            when row_number() over (partition by segment order by sum(entered) desc, segment_value) <= 8
                then segment_value
            else '(others)'
        end as label

    from conversion_funnel_daily

    where
        step_order = 1
        and cohort_on between %(first)s and %(last)s

    group by 1, 2

),

steps as (

    select
        daily.funnel,
        daily.cohort_on - %(first)s::date as day,
        daily.segment,
        ranked.label as segment_value,
        daily.step_order,
        bool_and(daily.is_complete) as is_complete,
        sum(daily.reached)::bigint as reached

    from conversion_funnel_daily as daily

    inner join ranked using (segment, segment_value)

    where daily.cohort_on between %(first)s and %(last)s

    group by 1, 2, 3, 4, 5

)

select
    funnel,
    segment,
    segment_value,
    day,
    bool_and(is_complete) as is_complete,
    array_agg(reached order by step_order) as reached

from steps

group by 1, 2, 3, 4

order by 1, 2, 3, 4
