with

events as not materialized (

    select * from {{ ref('fct_events') }}

),

attributes as (

    select * from {{ ref('fct_event_attributes') }}
    where property in ('path', 'screen') and event_type in ('page_viewed', 'screen_viewed')

),

sessions as not materialized (

    select * from {{ ref('fct_sessions') }}
    where is_visit

),

-- A view is in the last session that had begun: sorted, whatever the number of both.
moments as (

    select
        user_id,
        started_at as occurred_at,
        '-infinity'::timestamptz as received_at,
        0::bigint as event_row_id,
        session_number,
        started_on,
        null as path

    from sessions

    union all

    select
        events.user_id,
        events.occurred_at,
        events.received_at,
        events.event_row_id,
        null as session_number,
        null as started_on,
        attributes.text_value as path

    from attributes

    inner join events using (event_key)

    where attributes.text_value <> ''

),

labels as (

    select
        path,
        {{ with_other('path', 7, 'count(*)') }} as label

    from moments

    where path is not null

    group by 1

),

placed as (

    select
        user_id,
        occurred_at,
        received_at,
        event_row_id,
        path,
        lag(path) over user_moments as previous_path,
        max(session_number) over user_moments as session_number,
        max(started_on) over user_moments as started_on

    from moments

    window user_moments as (
        partition by user_id
        order by occurred_at, received_at, event_row_id
    )

),

-- The same page again is no step.
steps as (

    select
        placed.started_on,
        labels.label,
        row_number() over session_steps as step,
        lead(labels.label) over session_steps as next_label

    from placed

    inner join labels using (path)

    where placed.previous_path is distinct from placed.path

    window session_steps as (
        partition by placed.user_id, placed.session_number
        order by placed.occurred_at, placed.received_at, placed.event_row_id
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
