with

scores as (

    select * from {{ ref('fct_credit_scores') }}

),

score_bands as (

    select * from {{ ref('score_bands') }}

),

progress as (

    select * from {{ ref('fct_funnel_progress') }}
    where is_converted

),

payments as (

    select * from {{ ref('fct_events') }}
    where event_type in ('payment_made', 'payment_missed')

),

days as (

    select * from {{ ref('int_days') }}

),

band_changes as (

    select
        *,
        {{ report_date('valid_from') }} as changed_on

    from scores

    where band is distinct from previous_band

),

entered as (

    select
        band,
        changed_on as day,
        count(*) as users_entered

    from band_changes

    group by 1, 2

),

departed as (

    select
        previous_band as band,
        changed_on as day,
        count(*) as users_left

    from band_changes

    where previous_band is not null

    group by 1, 2

),

converted as (

    select
        scores.band,
        {{ report_date('progress.converted_at') }} as day,
        count(*) as conversions

    from progress

    inner join scores
        on
            progress.user_id = scores.user_id
            and progress.converted_at >= scores.valid_from
            and (progress.converted_at < scores.valid_to or scores.is_current)

    group by 1, 2

),

paid as (

    select
        scores.band,
        payments.occurred_on as day,
        count(*) filter (where payments.event_type = 'payment_made') as payments_made,
        count(*) filter (where payments.event_type = 'payment_missed') as payments_missed

    from payments

    inner join scores
        on
            payments.user_id = scores.user_id
            and payments.occurred_at >= scores.valid_from
            and (payments.occurred_at < scores.valid_to or scores.is_current)

    group by 1, 2

),

daily as (

    select
        score_bands.band,
        score_bands.band_order,
        days.day,
        coalesce(entered.users_entered, 0) as users_entered,
        coalesce(departed.users_left, 0) as users_left,
        coalesce(converted.conversions, 0) as conversions,
        coalesce(paid.payments_made, 0) as payments_made,
        coalesce(paid.payments_missed, 0) as payments_missed

    from score_bands

    cross join days

    left join entered
        on score_bands.band = entered.band and days.day = entered.day

    left join departed
        on score_bands.band = departed.band and days.day = departed.day

    left join converted
        on score_bands.band = converted.band and days.day = converted.day

    left join paid
        on score_bands.band = paid.band and days.day = paid.day

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
