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

changed_users as not materialized (

    select * from {{ ref('int_users__changed') }}
    where build_id > {{ low_mark() }}

),

scores as (

    select * from {{ ref('int_credit_scores') }}
    where user_id in (select changed_users.user_id from changed_users)

),

-- Named once only, so that the score of a moment is found by index: periods have no gaps.
all_scores as (

    select * from {{ ref('int_credit_scores') }}

),

conversions as (

    select * from {{ ref('int_conversions') }}
    where user_id in (select changed_users.user_id from changed_users)

),

payments as (

    select * from {{ ref('int_events') }}
    where
        event_type in ('payment_made', 'payment_missed')
        and user_id in (select changed_users.user_id from changed_users)

),

moments as (

    select
        user_id,
        converted_at as happened_at,
        'conversion' as happening

    from conversions

    union all

    select
        user_id,
        occurred_at as happened_at,
        event_type as happening

    from payments

),

banded as (

    select
        moments.user_id,
        case when score_then.user_id is null then 'unknown' else score_then.band end as band,
        moments.happened_at,
        moments.happening

    from moments

    left join lateral (
        {{ score_at('all_scores', 'moments.user_id', 'moments.happened_at') }}
    ) as score_then on moments.user_id = score_then.user_id

),

-- Who pays or converts without a score is in the band `unknown`, from then until the first score.
unknown_users as (

    select
        user_id,
        min(happened_at) as happened_at

    from banded

    where band = 'unknown'

    group by 1

),

happenings as (

    select * from banded

    union all

    select
        user_id,
        band,
        valid_from as happened_at,
        'entered' as happening

    from scores

    where band is distinct from previous_band

    union all

    select
        user_id,
        previous_band as band,
        valid_from as happened_at,
        'left' as happening

    from scores

    where band is distinct from previous_band

    union all

    select
        user_id,
        'unknown' as band,
        happened_at,
        'entered' as happening

    from unknown_users

    union all

    select
        user_id,
        'unknown' as band,
        min(valid_from) as happened_at,
        'left' as happening

    from scores

    where user_id in (select unknown_users.user_id from unknown_users)

    group by 1

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
