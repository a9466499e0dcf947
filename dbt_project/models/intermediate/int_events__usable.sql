{{ config(materialized='view') }}

-- Each CTE is read once, so that PostgreSQL takes it into the query and finds rows by index.
with

events as (

    select * from {{ ref('stg_events') }}

),

voids as (

    select * from {{ ref('stg_events') }}
    where
        voids_event_key is not null
        and rejection_code is null

),

sources as (

    select * from {{ ref('sources') }}

),

final as (

    select events.*

    from events

    left join sources on events.source = sources.source

    where
        events.rejection_code is null
        and events.event_type <> 'event_voided'
        and not coalesce(sources.is_test, false)
        and not exists (
            select 1 from voids
            where voids.voids_event_key = events.event_key
        )

)

select * from final
