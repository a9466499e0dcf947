{{ config(materialized='view') }}

with

user_updates as (

    select * from {{ ref('int_users__updates') }}

),

events as (

    select * from {{ ref('fct_events') }}

),

event_scores as (

    select
        user_id,
        event_row_id,
        source,
        {{ json_numeric("activity -> 'ficoScore'") }} as score,
        occurred_at,
        received_at

    from events

    where event_type = 'credit_score_updated'

),

final as (

    select
        user_id,
        user_row_id as row_id,
        source,
        'user' as score_source,
        score,
        occurred_at,
        received_at

    from user_updates

    where score is not null

    union all

    select
        user_id,
        event_row_id as row_id,
        source,
        'event' as score_source,
        round(score)::integer as score,
        occurred_at,
        received_at

    from event_scores

    -- FICO's published range; anything else is no score.
    where score between 300 and 850

)

select * from final
