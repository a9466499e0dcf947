{{ config(materialized='view') }}

-- Without CTEs, which would keep PostgreSQL from joining into the view by index.
select
    user_id,
    user_row_id as row_id,
    source,
    'user' as score_source,
    score,
    occurred_at,
    received_at

from {{ ref('int_users__updates') }}

where score is not null

union all

select
    user_id,
    event_row_id as row_id,
    source,
    'event' as score_source,
    {{ json_score("activity -> 'ficoScore'") }} as score,
    occurred_at,
    received_at

from {{ ref('int_events') }}

where
    event_type = 'credit_score_updated'
    and {{ json_score("activity -> 'ficoScore'") }} is not null
