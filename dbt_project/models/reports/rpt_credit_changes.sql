with

profiles as (

    select * from {{ ref('credit_profiles') }}

),

changes as (

    select
        changes.days,
        greatest(least(changes.points, 100), -100) as points

    from profiles

    cross join
        lateral (
            values
            (30, profiles.score_change_30d),
            (90, profiles.score_change_90d)
        ) as changes (days, points)

    where changes.points is not null

),

final as (

    select
        days,
        (sign(points) * ceil(abs(points) / 10.0) * 10)::integer as points_to,
        count(*) as users

    from changes

    group by 1, 2

)

select * from final
