{{ config(materialized='view') }}

-- Without CTEs: PostgreSQL joins by index only into a view that has no `with` of its own. Rendered,
-- since `--empty` would put an alias of its own after a table.
select events.*

from {{ ref('stg_events').render() }} as events

left join {{ ref('sources').render() }} as sources on events.source = sources.source

where
    events.rejection_code is null
    and events.event_type <> 'event_voided'
    and not coalesce(sources.is_test, false)
    and not exists (
        select 1 from {{ ref('stg_events').render() }} as voids
        where
            voids.voids_event_key is not null
            and voids.voids_event_key = events.event_key
            and voids.rejection_code is null
    )
