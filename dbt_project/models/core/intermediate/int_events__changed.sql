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

opted_out as (

    {{ events_of_people(
        ref('int_opt_outs__changed').render(), ref('stg_events').render(), ['events.event_key', 'people.build_id']
    ) }}

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

    union all

    select distinct
        event_key,
        'opt_out' as reason,
        build_id

    from opted_out

    where {{ anybody_opted_out() }}

)

select * from final
