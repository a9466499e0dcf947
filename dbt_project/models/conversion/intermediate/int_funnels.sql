{{ config(materialized='view') }}

select
    funnel,
    max(step_order) as last_step_order,
    max(window_days) * interval '24 hours' as conversion_window

from {{ ref('funnels') }}

group by 1
