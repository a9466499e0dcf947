with

credits as not materialized (

    select * from {{ ref('attribution') }}

),

labels as (

    select
        traffic_source,
        {{ with_other('traffic_source', 11, 'sum(last_non_direct_credit)') }} as label

    from credits

    group by 1

),

final as (

    select
        credits.funnel,
        labels.label as traffic_source,
        rules.rule_order,
        rules.rule,
        credits.converted_on as day,
        sum(rules.credit) as conversions

    from credits

    inner join labels using (traffic_source)

    cross join
        lateral (
            values
            (1, 'Last non-direct', credits.last_non_direct_credit),
            (2, 'Last touch', credits.last_touch_credit),
            (3, 'First touch', credits.first_touch_credit),
            (4, 'Linear', credits.linear_credit),
            (5, 'Position-based', credits.position_based_credit),
            (6, 'Time decay', credits.time_decay_credit)
        ) as rules (rule_order, rule, credit)

    group by 1, 2, 3, 4, 5

)

select * from final
