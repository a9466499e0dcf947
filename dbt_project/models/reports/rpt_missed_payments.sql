with

profiles as (

    select * from {{ ref('credit_profiles') }}
    where payments_made + payments_missed > 0

),

score_bands as (

    select * from {{ ref('score_bands') }}

),

final as (

    select
        coalesce(score_bands.band_order, 0) as band_order,
        coalesce(score_bands.band, 'unknown') as band,
        least(profiles.payments_missed, 6) as payments_missed,
        count(*) as users

    from profiles

    left join score_bands on profiles.current_band = score_bands.band

    group by 1, 2, 3

)

select * from final
