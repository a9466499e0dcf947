with

events as not materialized (

    select * from {{ ref('fct_events') }}
    where event_type in ('page_viewed', 'screen_viewed')

),

sessions as not materialized (

    select * from {{ ref('fct_sessions') }}
    where is_visit

),

views as (

    select
        sessions.session_key,
        sessions.started_on,
        events.occurred_at,
        events.received_at,
        events.event_row_id,
        left({{ json_text("events.activity -> 'path'") }}, 256) as path

    from sessions

    inner join events
        on
            sessions.user_id = events.user_id
            and events.occurred_at between sessions.started_at and sessions.ended_at

),

labels as (

    select
        path,
        {{ with_other('path', 7, 'count(*)') }} as label

    from views

    where path is not null

    group by 1

),

compared as (

    select
        views.session_key,
        views.started_on,
        views.occurred_at,
        views.received_at,
        views.event_row_id,
        labels.label,
        lag(views.path) over session_views as previous_path,
        views.path

    from views

    inner join labels using (path)

    window session_views as (
        partition by views.session_key
        order by views.occurred_at, views.received_at, views.event_row_id
    )

),

-- The same page again is no step.
steps as (

    select
        started_on,
        label,
        row_number() over session_steps as step,
        lead(label) over session_steps as next_label

    from compared

    where previous_path is distinct from path

    window session_steps as (
        partition by session_key
        order by occurred_at, received_at, event_row_id
    )

),

final as (

    select
        {{ report_week('started_on') }} as day,
        step,
        label as path,
        coalesce(next_label, '(end)') as next_path,
        count(*) as visits

    from steps

    where step <= 4

    group by 1, 2, 3, 4

)

select * from final
