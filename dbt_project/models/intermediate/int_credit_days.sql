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
        scores.user_id,
        scores.band,
        conversions.converted_at as happened_at,
        'conversion' as happening

    from conversions

    inner join scores
        on
            conversions.user_id = scores.user_id
            and conversions.converted_at >= scores.valid_from
            and (conversions.converted_at < scores.valid_to or scores.is_current)

    union all

    select
        scores.user_id,
        scores.band,
        payments.occurred_at as happened_at,
        payments.event_type as happening

    from payments

    inner join scores
        on
            payments.user_id = scores.user_id
            and payments.occurred_at >= scores.valid_from
            and (payments.occurred_at < scores.valid_to or scores.is_current)

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
