with

attempts as (

    select * from {{ ref('fct_funnel_progress') }}

),

final as (

    select
        funnel,
        outcome,
        count(*) as attempts,
        round((percentile_cont(0.5) within group (order by seconds_to_convert))::numeric, 3) as seconds_to_convert_p50

    from attempts

    group by 1, 2

)

select * from final
