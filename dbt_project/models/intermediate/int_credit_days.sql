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

    select * from {{ ref('fct_credit_scores') }}
    where user_id in (select changed_users.user_id from changed_users)

),

-- Named once only, so that the score of a moment is found by index: periods have no gaps.
all_scores as (

    select * from {{ ref('fct_credit_scores') }}

),

conversions as (

    select * from {{ ref('fct_funnel_progress') }}
    where
        is_converted
        and user_id in (select changed_users.user_id from changed_users)

),

payments as (

    select * from {{ ref('fct_events') }}
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

happenings as (

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
        moments.user_id,
        score_then.band,
        moments.happened_at,
        moments.happening

    from moments

    cross join lateral (
        select all_scores.band from all_scores
        where
            moments.user_id = all_scores.user_id
            and moments.happened_at >= all_scores.valid_from
        order by all_scores.valid_from desc
        limit 1
    ) as score_then

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
