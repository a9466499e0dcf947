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
            else {{ with_others('segment_value', 8, 'sum(entered)', within='segment') }}
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
        sum(steps.reached)::bigint as reached

    from steps

    inner join labels using (segment, segment_value)

    group by 1, 2, 3, 4, 5

),

final as (

    select
        funnel,
        segment,
        segment_value,
        day,
        (array_agg(reached order by step_order))[1] as attempts,
        (array_agg(reached order by step_order desc))[1] as conversions,
        array_agg(reached order by step_order) as reached

    from step_totals

    group by 1, 2, 3, 4

)

select * from final
