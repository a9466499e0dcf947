with

rejections as (

    select * from {{ ref('rejection_rates_daily') }}

),

final as (

    select
        rejection_code,
        day,
        sum(events_rejected)::bigint as events_rejected

    from rejections

    group by 1, 2

)

select * from final
