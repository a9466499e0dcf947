with

band_days as (

    select * from {{ ref('credit_band_daily') }}

),

score_bands as (

    select * from {{ ref('score_bands') }}

),

final as (

    select
        band_days.band_order,
        band_days.band,
        score_bands.is_good,
        band_days.day,
        band_days.users,
        case when score_bands.is_good then band_days.users else 0 end as users_in_good_bands,
        band_days.conversions,
        band_days.payments_made,
        band_days.payments_made + band_days.payments_missed as payments_due

    from band_days

    inner join score_bands using (band)

)

select * from final
