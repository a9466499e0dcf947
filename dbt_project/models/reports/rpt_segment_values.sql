with

cohorts as (

    select * from {{ ref('rpt_conversion_daily') }}
    where segment <> 'all'

),

final as (

    select
        segment,
        segment_value,
        sum(attempts)::bigint as attempts

    from cohorts

    group by 1, 2

)

select * from final
