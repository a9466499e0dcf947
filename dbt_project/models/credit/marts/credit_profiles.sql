{{
    config(
        materialized='incremental',
        unique_key='user_id',
        meta={'changes': 'int_users__changed'}
    )
}}

{#- Also whose score of 30 or 90 days ago is another by now. -#}
{%- set is_concerned = is_of_changed_user('valid_from', ref('int_credit_scores')) %}

with

scores as (

    select * from {{ ref('int_credit_scores') }}
    where {{ is_concerned }}

),

payments as (

    select * from {{ ref('int_payments__by_user') }}
    where {{ is_concerned }}

),

as_of as (

    select {{ as_of() }} as as_of

),

-- Changes are relative to the cut-off of the build, the same for every mart of it.
score_history as (

    select
        scores.user_id,

        max(scores.score) filter (where scores.is_current) as current_score,
        max(scores.band) filter (where scores.is_current) as current_band,
        max(scores.valid_from) filter (where scores.is_current) as current_since,
        max(scores.score) filter (
            where as_of.as_of - interval '720 hours' >= scores.valid_from
            and (as_of.as_of - interval '720 hours' < scores.valid_to or scores.is_current)
        ) as score_30d_ago,
        max(scores.score) filter (
            where as_of.as_of - interval '2160 hours' >= scores.valid_from
            and (as_of.as_of - interval '2160 hours' < scores.valid_to or scores.is_current)
        ) as score_90d_ago,
        min(scores.score) as min_score,
        max(scores.score) as max_score,
        count(*) as score_count

    from scores

    cross join as_of

    group by 1

),

final as (

    select
        user_id,
        score_history.current_score,
        score_history.current_band,
        score_history.current_since,
        score_history.current_score - score_history.score_30d_ago as score_change_30d,
        score_history.current_score - score_history.score_90d_ago as score_change_90d,
        score_history.min_score,
        score_history.max_score,
        coalesce(score_history.score_count, 0) as score_count,
        coalesce(payments.payments_made, 0) as payments_made,
        coalesce(payments.payments_missed, 0) as payments_missed,
        coalesce(payments.payments_not_due, 0) as payments_not_due,
        {{ rate('payments.payments_made', 'payments.payments_made + payments.payments_missed') }} as on_time_rate,
        payments.last_payment_at,
        payments.last_missed_at

    from score_history

    full join payments using (user_id)

)

select * from final
