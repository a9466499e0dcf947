{{
    config(
        unique_key='user_id',
        meta={
            'changes': 'int_users__changed',
            'counted': ['band', 'day', 'users_entered', 'users_left', 'conversions', 'payments_made', 'payments_missed'],
        },
        indexes=[{'columns': ['user_id']}]
    )
}}

with

moments as (

    select * from {{ ref('int_credit_moments') }}
    where {{ is_of_changed_user() }}

),

scores as (

    select * from {{ ref('int_credit_scores') }}
    where {{ is_of_changed_user() }}

),

banded as (

    select
        moments.user_id,
        case when score_then.user_id is null then 'unknown' else score_then.band end as band,
        moments.happened_at,
        moments.happening

    from moments

    {{ join_score_at(ref('int_credit_scores').render(), 'moments.user_id', 'moments.happened_at') }}

),

happenings as (

    select * from banded

    union all

    select
        scores.user_id,
        moves.band,
        scores.valid_from as happened_at,
        moves.happening

    from scores

    cross join lateral (values (scores.band, 'entered'), (scores.previous_band, 'left')) as moves (band, happening)

    where scores.band is distinct from scores.previous_band

    union all

    -- Who pays or converts without a score is in the band `unknown`, from then until the first score.
    select
        unscored.user_id,
        'unknown' as band,
        moves.moment as happened_at,
        moves.happening

    from (
        select
            user_id,
            min(happened_at) as since
        from banded
        where band = 'unknown'
        group by 1
    ) as unscored

    left join scores on unscored.user_id = scores.user_id and scores.previous_score is null

    cross join lateral (values (unscored.since, 'entered'), (scores.valid_from, 'left')) as moves (moment, happening)

    where moves.moment is not null

),

final as (

    select
        user_id,
        band,
        {{ report_date('happened_at') }} as day,

        count(*) filter (where happening = 'entered') as users_entered,
        count(*) filter (where happening = 'left') as users_left,
        count(*) filter (where happening = 'conversion') as conversions,
        count(*) filter (where happening = 'payment_made') as payments_made,
        count(*) filter (where happening = 'payment_missed') as payments_missed

    from happenings

    where band is not null

    group by 1, 2, 3

)

select * from final
