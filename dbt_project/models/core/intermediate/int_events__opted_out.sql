{{ config(materialized='view') }}

with

people as (

    select distinct user_id from {{ ref('int_opt_outs') }}

),

theirs as (

    {{ events_of_people(
        'people', ref('int_events__usable').render(), ['events.event_key', 'events.source', 'events.received_at']
    ) }}

),

final as (

    select
        event_key,
        source,
        received_at

    from theirs

    where
        {{ anybody_opted_out() }}
        and {{ is_opted_out('theirs.user_id', 'theirs.received_at') }}

)

select * from final
