{{ config(materialized='view') }}

with

events as (

    select * from {{ ref('fct_events') }}

),

final as (

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

    from events

    where event_type in ('task_scheduled', 'task_started', 'task_completed', 'task_abandoned')

)

select * from final
