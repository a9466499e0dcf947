with

funnel_days as (

    select * from {{ ref('conversion_funnel_daily') }}
    where segment = 'all'

),

steps as (

    select
        funnel,
        step_order,
        step,
        sum(entered)::bigint as entered,
        sum(reached_previous)::bigint as reached_previous,
        sum(reached)::bigint as reached

    from funnel_days

    group by 1, 2, 3

),

final as (

    select
        *,
        {{ rate_of('step_rate') }} as step_rate,
        {{ rate_of('overall_rate') }} as overall_rate

    from steps

)

select * from final
