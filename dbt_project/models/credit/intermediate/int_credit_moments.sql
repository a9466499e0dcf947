{{ config(materialized='view') }}

-- Without CTEs, which would keep PostgreSQL from joining into the view by index.
select
    progress_key as moment_key,
    user_id,
    converted_at as happened_at,
    'conversion' as happening

from {{ ref('int_conversions') }}

union all

select
    event_key as moment_key,
    user_id,
    occurred_at as happened_at,
    event_type as happening

from {{ ref('int_events') }}

where event_type in ('payment_made', 'payment_missed')
