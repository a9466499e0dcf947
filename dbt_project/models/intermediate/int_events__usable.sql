{{ config(materialized='view') }}

-- Without CTEs, which would keep PostgreSQL from joining into the view by index.
select events.*

from {{ ref('stg_events') }} as events

left join {{ ref('sources') }} as sources on events.source = sources.source

where
    events.rejection_code is null
    and events.event_type <> 'event_voided'
    and not coalesce(sources.is_test, false)
    and not exists (
        select 1 from {{ ref('stg_events') }} as voids
        where
            voids.voids_event_key is not null
            and voids.voids_event_key = events.event_key
            and voids.rejection_code is null
    )
