-- Credit for conversions by day of conversion: the eleven sources with most, the rest summed.
with

ranked as (

    select
        traffic_source,
        case
            when row_number() over (order by sum(last_non_direct_credit) desc, traffic_source) <= 11
                then traffic_source
            else '(others)'
        end as label

    from attribution

    where converted_on between %(first)s and %(last)s

    group by 1

)

select
    attribution.funnel,
    attribution.converted_on - %(first)s::date as day,
    ranked.label as traffic_source,
    sum(attribution.last_non_direct_credit) as last_non_direct,
    sum(attribution.first_touch_credit) as first_touch,
    sum(attribution.last_touch_credit) as last_touch,
    sum(attribution.linear_credit)::float as linear,
    sum(attribution.position_based_credit)::float as position_based,
    sum(attribution.time_decay_credit)::float as time_decay

from attribution

inner join ranked using (traffic_source)

where attribution.converted_on between %(first)s and %(last)s

group by 1, 2, 3

order by 1, 2, 3
