{{
    config(
        unique_key='event_key',
        meta={'changes': 'int_events__changed'},
        indexes=[
            {'columns': ['user_id', 'event_type', 'occurred_at']},
            {'columns': ['event_type', 'occurred_on']},
            {'columns': ['occurred_on']},
        ]
    )
}}

-- depends_on: {{ ref('int_events__changed') }}

{%- set user_id = 'coalesce(events.user_id, identities.user_id, ' ~ anonymous_user_id('events.anonymous_id') ~ ')' %}

with

events as (

    select * from {{ ref('int_events__usable') }}
    {%- if continues() %}
    where
        event_key in (
            select changed_events.event_key from {{ ref('int_events__changed').render() }} as changed_events
            where {{ has_changed('changed_events') }}
        )
    {%- endif %}

),

identities as (

    select * from {{ ref('int_identities') }}

),

event_types as (

    select * from {{ ref('event_types') }}

),

-- What identifies somebody stays below the marts.
identifying as (

    select
        event_type,
        array_agg(property) as properties

    from {{ ref('event_properties') }}

    where pii_class = 'direct_identifier'

    group by 1

),

final as (

    select
        ---------- ids
        events.event_key,
        events.event_row_id,
        events.event_id,
        {{ user_id }} as user_id,
        events.anonymous_id,

        ---------- strings
        events.source,
        events.event_type,
        coalesce(event_types.subject, 'unregistered') as event_subject,
        events.occurred_at_source,

        ---------- json
        {{ without_logins('events.activity') }} - coalesce(identifying.properties, '{}'::text[]) as activity,

        ---------- booleans
        coalesce(event_types.is_interaction, false) as is_interaction,
        coalesce(events.user_id, identities.user_id) is not null as is_identified,
        events.has_conflict,

        ---------- dates and timestamps
        {{ report_date('events.occurred_at') }} as occurred_on,
        events.occurred_at,
        events.received_at

    from events

    left join identities on events.anonymous_id = identities.anonymous_id

    left join event_types on events.event_type = event_types.event_type

    left join identifying on events.event_type = identifying.event_type

    where not {{ is_opted_out(user_id, 'events.received_at') }}

)

select * from final
