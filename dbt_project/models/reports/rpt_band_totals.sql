with

band_days as (

    select * from {{ ref('rpt_credit_bands_daily') }}

),

totals as (

    select
        band_order,
        band,
        (array_agg(users order by day desc))[1] as users,
        sum(conversions)::bigint as conversions,
        sum(payments_made)::bigint as payments_made,
        sum(payments_due)::bigint as payments_due

    from band_days

    group by 1, 2

),

final as (

    select
        *,
        {{ rate('on_time_rate') }} as on_time_rate

    from totals

)

select * from final
