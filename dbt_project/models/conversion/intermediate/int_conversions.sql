{{ config(materialized='view') }}

-- Without CTEs: PostgreSQL joins by index only into a view that has no `with` of its own.
select
    {{ surrogate_key(['user_id', 'funnel', 'attempt']) }} as progress_key,
    user_id,
    funnel,
    occurred_at as converted_at

from {{ ref('int_funnel_moves') }}

-- A step that ends an attempt is the last.
where
    step_order is not null
    and outcome is not null
