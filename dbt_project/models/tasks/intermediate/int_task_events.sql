{{ config(materialized='view') }}

-- Without CTEs, which would keep PostgreSQL from joining into the view by index.
select
    user_id,
    event_row_id,
    event_type,
    {{ json_text("activity -> 'taskId'") }} as task_id,
    coalesce(
        {{ json_text("activity -> 'taskType'") }},
        {{ json_text("activity -> 'taskName'") }},
        'unspecified'
    ) as task_type,
    {{ json_text("activity -> 'assignee'") }} as assignee,
    occurred_at,
    received_at

from {{ ref('int_events') }}

where event_type in ('task_scheduled', 'task_started', 'task_completed', 'task_abandoned')
