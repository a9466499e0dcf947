{{ config(materialized='view') }}

with

events as (

    select * from {{ ref('stg_events') }}

),

identities as (

    select * from {{ ref('int_identities') }}

),

final as (

    select
        event_key,
        'event' as reason,
        build_id

    from events

    union all

    -- When a visitor becomes known, so do the events from before.
    select
        events.event_key,
        'identity' as reason,
        identities.build_id

    from identities

    inner join events on identities.anonymous_id = events.anonymous_id

    where events.user_id is null

)

select * from final
