with

profiles as (

    select * from {{ ref('credit_profiles') }}
    where current_score is not null

),

score_bands as (

    select * from {{ ref('score_bands') }}

),

scores as (

    select
        moments.days_ago,
        floor(moments.score / 10) * 10 as score_from,
        score_bands.band_order,
        score_bands.band

    from profiles

    cross join
        lateral (
            values
            (0, profiles.current_score),
            (30, profiles.current_score - profiles.score_change_30d),
            (90, profiles.current_score - profiles.score_change_90d)
        ) as moments (days_ago, score)

    inner join score_bands on moments.score between score_bands.min_score and score_bands.max_score

),

final as (

    select
        band_order,
        band,
        score_from::integer as score_from,
        count(*) filter (where days_ago = 0) as users,
        count(*) filter (where days_ago = 30) as users_30d_ago,
        count(*) filter (where days_ago = 90) as users_90d_ago

    from scores

    group by 1, 2, 3

)

select * from final
