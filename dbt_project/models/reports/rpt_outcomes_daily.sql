with

outcomes as (

    select * from {{ ref('funnel_outcome_daily') }}
    where segment = 'all'

),

final as (

    select
        funnel,
        outcome,
        cohort_on as day,
        attempts

    from outcomes

)

select * from final
