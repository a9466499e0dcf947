with

attempts as (

    select * from {{ ref('fct_funnel_progress') }}

),

final as (

    select
        funnel,
        outcome,
        count(*) as attempts,
        {{ percentile(0.5, 'seconds_to_convert') }} as seconds_to_convert_p50

    from attempts

    group by 1, 2

)

select * from final
