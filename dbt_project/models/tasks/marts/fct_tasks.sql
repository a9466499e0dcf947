{{
    config(
        materialized='incremental',
        unique_key='user_id',
        meta={
            'changes': 'int_users__changed',
            'counted': [
                'task_type', 'opened_on', 'closed_on', 'status_changes', 'completed_at', 'times_started',
                'times_completed', 'assignee_count', 'wait_seconds', 'cycle_seconds',
            ],
        },
        indexes=[{'columns': ['user_id']}, {'columns': ['task_type', 'opened_on']}]
    )
}}

with

events as (

    select * from {{ ref('int_task_events') }}
    where {{ is_of_changed_user() }}

),

numbered as (

    {{ work_items('events') }}

),

tasks as (

    select
        user_id,
        task_id,
        work_item_number,
        numbered_type,

        coalesce({{ first_of('task_type', "task_type <> 'unspecified'") }}, 'unspecified') as task_type,
        {{ first_of('assignee', 'assignee is not null', 'desc') }} as assignee,
        count(distinct assignee) as assignee_count,
        {{ first_of('event_type', order='desc') }} as last_event_type,

        min(occurred_at) as opened_at,
        max(occurred_at) as last_event_at,
        min(occurred_at) filter (where event_type = 'task_scheduled') as scheduled_at,
        min(occurred_at) filter (where event_type = 'task_started') as started_at,

        count(*) filter (where event_type = 'task_scheduled') as times_scheduled,
        count(*) filter (where event_type = 'task_started') as times_started,
        count(*) filter (where event_type = 'task_completed') as times_completed,
        count(*) filter (where event_type = 'task_abandoned') as times_abandoned,

        jsonb_agg(
            jsonb_build_object(
                'day', occurred_on,
                'status', case when is_closing then replace(event_type, 'task_', '') else 'reopened' end
            )
            order by occurred_at, received_at, event_row_id
        ) filter (where is_closing <> coalesce(was_closed, false)) as status_changes

    from numbered

    group by 1, 2, 3, 4

),

final as (

    select
        {{ surrogate_key(['user_id', 'task_id', 'numbered_type', 'work_item_number']) }} as task_key,
        user_id,
        task_id,
        task_type,
        work_item_number,
        replace(last_event_type, 'task_', '') as status,
        assignee,
        assignee_count,
        {{ report_date('opened_at') }} as opened_on,
        {{ report_date("case when last_event_type in ('task_completed', 'task_abandoned') then last_event_at end") }}
            as closed_on,
        coalesce(status_changes, '[]'::jsonb) as status_changes,
        opened_at,
        scheduled_at,
        started_at,
        case when last_event_type = 'task_completed' then last_event_at end as completed_at,
        case when last_event_type = 'task_abandoned' then last_event_at end as abandoned_at,
        times_scheduled,
        times_started,
        times_completed,
        times_abandoned,
        case
            when started_at >= scheduled_at
                then round(extract(epoch from started_at - scheduled_at), 3)
        end as wait_seconds,
        case
            when last_event_type = 'task_completed' and last_event_at >= started_at
                then round(extract(epoch from last_event_at - started_at), 3)
        end as cycle_seconds

    from tasks

)

select * from final
