{{ config(materialized='view') }}

with

events as (

    select * from {{ ref('stg_events') }}

),

anonymous_events as (

    select * from {{ ref('stg_events') }}
    where user_id is null

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
        anonymous_events.event_key,
        'identity' as reason,
        identities.build_id

    from identities

    inner join anonymous_events on identities.anonymous_id = anonymous_events.anonymous_id

)

select * from final
