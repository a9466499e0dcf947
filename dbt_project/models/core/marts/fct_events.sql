{{ config(materialized='view') }}

-- Without CTEs: PostgreSQL joins by index only into a view that has no `with` of its own. Rendered,
-- since `--empty` would put an alias of its own after a table.
select
    events.event_key,
    events.event_row_id,
    events.event_id,
    events.user_id,
    events.anonymous_id,
    events.source,
    events.event_type,
    events.event_subject,
    events.occurred_at_source,

    -- Personal data of any class is for the marts that need it.
    events.activity - array(
        select properties.property from {{ ref('event_properties').render() }} as properties
        where
            events.event_type = properties.event_type
            and properties.pii_class <> 'none'
    ) as activity,

    events.is_interaction,
    events.is_identified,
    events.has_conflict,
    events.occurred_on,
    events.occurred_at,
    events.received_at

from {{ ref('int_events').render() }} as events
