with

profiles as (

    select * from {{ ref('credit_profiles') }}

),

ranked as (

    select
        *,
        rank() over (order by score_change_90d asc nulls last, user_id asc) as place_fallen,
        rank() over (order by score_change_90d desc nulls last, user_id asc) as place_risen,
        rank() over (order by last_missed_at desc nulls last, user_id asc) as place_missed

    from profiles

),

final as (

    select
        user_id,
        {{ user_key('user_id') }} as user_key,
        coalesce(current_band, 'unknown') as band,
        score_change_30d,
        score_change_90d,
        payments_made,
        payments_missed,
        on_time_rate,
        {{ report_date('last_missed_at') }} as last_missed_on

    from ranked

    where
        (place_fallen <= 40 and score_change_90d < 0)
        or (place_risen <= 40 and score_change_90d > 0)
        or (place_missed <= 40 and last_missed_at is not null)

)

select * from final
