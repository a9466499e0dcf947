with

bands_daily as (

    select * from {{ ref('int_credit_bands_daily') }}

),

bands as (

    select
        band,
        band_order

    from {{ ref('score_bands') }}

    union all

    select
        'unknown' as band,
        0 as band_order

),

eventful_days as (

    select
        day,
        lead(day) over (order by day) as next_day

    from bands_daily

    group by 1

),

-- Users are carried forward over days on which nothing happened, so far as the setting says.
days as (

    select eventful_days.day + following.days as day

    from eventful_days

    cross join lateral generate_series(
        0,
        least(
            {{ days_between('eventful_days.next_day', 'eventful_days.day') }} - 1,
            {{ project_setting('carry_forward_days') }}::integer,
            greatest({{ days_between(report_date(as_of()), 'eventful_days.day') }}, 0)
        )
    ) as following (days)

),

daily as (

    select
        bands.band,
        bands.band_order,
        days.day,
        coalesce(bands_daily.users_entered, 0) as users_entered,
        coalesce(bands_daily.users_left, 0) as users_left,
        coalesce(bands_daily.conversions, 0) as conversions,
        coalesce(bands_daily.payments_made, 0) as payments_made,
        coalesce(bands_daily.payments_missed, 0) as payments_missed

    from bands

    cross join days

    left join bands_daily
        on bands.band = bands_daily.band and days.day = bands_daily.day

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
        {{ rate('payments_made', 'payments_made + payments_missed') }} as on_time_rate

    from daily

)

select * from final
