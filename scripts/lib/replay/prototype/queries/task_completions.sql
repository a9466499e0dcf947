-- A missing text is '' and a missing duration 0 in the prototype.
with

marts as (

    select
        moved_events.event_id,
        moved_events.mart_user_id as user_id,
        coalesce(task_ids.text_value, '') as task_id,
        coalesce(task_names.text_value, '') as task_name,
        coalesce(durations.numeric_value, 0) as duration_ms,
        moved_events.occurred_at as completed_at

    from moved_events

    left join fct_event_attributes as task_ids
        on moved_events.event_key = task_ids.event_key and task_ids.property = 'taskId'

    left join fct_event_attributes as task_names
        on moved_events.event_key = task_names.event_key and task_names.property = 'taskName'

    left join fct_event_attributes as durations
        on moved_events.event_key = durations.event_key and durations.property = 'durationMs'

    where
        moved_events.event_type = 'task_completed'
        and moved_events.event_key is not null

),

prototype as (

    select
        event_id,
        user_id,
        left(task_id, 256) as task_id,  -- as far as marts keep texts
        left(task_name, 256) as task_name,
        duration_ms,
        completed_at

    from prototype_task_completions

)

select
    event_id,
    to_jsonb(prototype) as prototype_row,
    to_jsonb(marts) as marts_row,

    case
        when prototype.event_id is null then 'the ETL of the prototype has not run since'
        when moved_events.event_id is null then 'no longer in the prototype''s Event'
        when moved_events.reason is not null then moved_events.reason
        when prototype.completed_at <> marts.completed_at then 'implausible time, clamped'
        when
            prototype.duration_ms <> marts.duration_ms
            and jsonb_typeof(moved_events.number) is distinct from 'number'
            then 'durationMs is no number, which the prototype writes as 0'
        else 'unexplained'
    end as reason

from prototype

full join marts using (event_id)

left join moved_events using (event_id)

order by moved_events.event_number, event_id
