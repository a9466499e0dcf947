{{
    config(
        materialized='incremental',
        unique_key='band',
        meta={'changes_of': 'int_credit_days'}
    )
}}

with

changes as (

    select * from {{ changes_of('int_credit_days') }}

),

score_bands as (

    select * from {{ ref('score_bands') }}

),

days as (

    select * from {{ ref('int_days') }}

),

counts as (

    select
        band,
        day,
        change * users_entered as users_entered,
        change * users_left as users_left,
        change * conversions as conversions,
        change * payments_made as payments_made,
        change * payments_missed as payments_missed

    from changes
    {%- if continues() %}

    union all

    select
        band,
        day,
        users_entered,
        users_left,
        conversions,
        payments_made,
        payments_missed

    from {{ this }}
    {%- endif %}

),

daily as (

    select
        score_bands.band,
        score_bands.band_order,
        days.day,

        coalesce(sum(counts.users_entered), 0)::bigint as users_entered,
        coalesce(sum(counts.users_left), 0)::bigint as users_left,
        coalesce(sum(counts.conversions), 0)::bigint as conversions,
        coalesce(sum(counts.payments_made), 0)::bigint as payments_made,
        coalesce(sum(counts.payments_missed), 0)::bigint as payments_missed

    from score_bands

    cross join days

    left join counts
        on score_bands.band = counts.band and days.day = counts.day

    group by 1, 2, 3

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
