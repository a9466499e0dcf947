{{
    config(
        materialized='incremental',
        unique_key='event_key',
        meta={'changes': 'stg_events'},
        indexes=[
            {'columns': ['user_id', 'occurred_at']},
            {'columns': ['event_type', 'occurred_on']},
        ]
    )
}}

with

events as (

    select * from {{ ref('stg_events') }}
    where build_id > {{ low_mark() }}

),

voids as (

    select * from {{ ref('stg_events') }}
    where
        voids_event_key is not null
        and rejection_code is null

),

event_types as (

    select * from {{ ref('event_types') }}

),

sources as (

    select * from {{ ref('sources') }}

),

final as (

    select
        ---------- ids
        events.event_key,
        events.event_row_id,
        events.event_id,
        events.user_id,
        events.anonymous_id,

        ---------- strings
        events.source,
        events.event_type,
        coalesce(event_types.subject, 'unregistered') as event_subject,
        events.occurred_at_source,

        ---------- json
        events.activity,

        ---------- dates and timestamps
        {{ report_date('events.occurred_at') }} as occurred_on,
        events.occurred_at,
        events.received_at

    from events

    left join event_types on events.event_type = event_types.event_type

    left join sources on events.source = sources.source

    where
        events.rejection_code is null
        and events.event_key not in (select voids.voids_event_key from voids)
        and events.event_type <> 'event_voided'
        and not coalesce(sources.is_test, false)

)

select * from final
