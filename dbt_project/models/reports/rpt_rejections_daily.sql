with

reasons as (

    select * from {{ ref('rejection_reasons_daily') }}
    where events_rejected > 0

),

final as (

    select
        rejection_code,
        day,
        sum(events_rejected)::bigint as events_rejected

    from reasons

    group by 1, 2

)

select * from final
