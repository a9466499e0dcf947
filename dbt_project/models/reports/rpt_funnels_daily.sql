with

cohorts as (

    select * from {{ ref('rpt_conversion_daily') }}
    where segment = 'all'

),

final as (

    select
        funnel,
        day,
        attempts,
        conversions,
        complete_attempts,
        complete_conversions

    from cohorts

)

select * from final
