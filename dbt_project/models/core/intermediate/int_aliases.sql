{{
    config(
        unique_key='event_key',
        meta={'changes': 'stg_events'},
        indexes=[{'columns': ['event_key']}, {'columns': ['anonymous_id']}]
    )
}}

with

events as (

    select * from {{ ref('stg_events') }}
    where
        {{ has_changed() }}
        and aliased_ids <> '{}'::text[]

),

final as (

    select
        events.event_key,
        named.anonymous_id

    from events

    cross join unnest(array[events.anonymous_id] || events.aliased_ids) as named (anonymous_id)

    where named.anonymous_id is not null

)

select * from final
