with

bands_daily as (

    select * from {{ ref('int_credit_bands_daily') }}

),

score_bands as (

    select * from {{ ref('score_bands') }}

),

days as (

    select * from {{ ref('int_days') }}

),

daily as (

    select
        score_bands.band,
        score_bands.band_order,
        days.day,
        coalesce(bands_daily.users_entered, 0) as users_entered,
        coalesce(bands_daily.users_left, 0) as users_left,
        coalesce(bands_daily.conversions, 0) as conversions,
        coalesce(bands_daily.payments_made, 0) as payments_made,
        coalesce(bands_daily.payments_missed, 0) as payments_missed

    from score_bands

    cross join days

    left join bands_daily
        on score_bands.band = bands_daily.band and days.day = bands_daily.day

),

final as (

    select
        {{ surrogate_key(['band', 'day']) }} as band_day_key,
        band,
        band_order,
        day,
        (
            sum(users_entered - users_left) over (
                partition by band
                order by day
            )
        )::bigint as users,
        users_entered,
        users_left,
        conversions,
        payments_made,
        payments_missed,
        round(payments_made::numeric / nullif(payments_made + payments_missed, 0), 6) as on_time_rate

    from daily

)

select * from final
