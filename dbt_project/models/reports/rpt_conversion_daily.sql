with

steps as not materialized (

    select * from {{ ref('conversion_funnel_daily') }}

),

labels as (

    select
        segment,
        segment_value,
        case
            when segment = 'band' then segment_value
            else {{ with_other('segment_value', 8, 'sum(entered)', within='segment') }}
        end as label

    from steps

    where step_order = 1

    group by 1, 2

),

step_totals as (

    select
        steps.funnel,
        steps.segment,
        labels.label as segment_value,
        steps.cohort_on as day,
        steps.step_order,
        bool_and(steps.is_complete) as is_complete,
        sum(steps.reached)::bigint as reached

    from steps

    inner join labels using (segment, segment_value)

    group by 1, 2, 3, 4, 5

),

cohorts as (

    select
        funnel,
        segment,
        segment_value,
        day,
        bool_and(is_complete) as is_complete,
        (array_agg(reached order by step_order))[1] as attempts,
        (array_agg(reached order by step_order desc))[1] as conversions,
        array_agg(reached order by step_order) as reached

    from step_totals

    group by 1, 2, 3, 4

),

final as (

    select
        *,
        case when is_complete is not false then attempts else 0 end as complete_attempts,
        case when is_complete is not false then conversions else 0 end as complete_conversions

    from cohorts

)

select * from final
