with

band_days as (

    select * from {{ ref('credit_band_daily') }}

),

totals as (

    select
        band_order,
        band,
        (array_agg(users order by day desc))[1] as users,
        sum(conversions)::bigint as conversions,
        sum(payments_made)::bigint as payments_made,
        sum(payments_made + payments_missed)::bigint as payments_due

    from band_days

    group by 1, 2

),

final as (

    select
        *,
        {{ rate_of('on_time_rate') }} as on_time_rate

    from totals

)

select * from final
