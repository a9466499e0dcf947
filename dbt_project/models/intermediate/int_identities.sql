{{
    config(
        unique_key='anonymous_id',
        indexes=[{'columns': ['anonymous_id'], 'unique': true}, {'columns': ['build_id']}]
    )
}}

with

changed_events as (

    select distinct unnest(other_anonymous_ids || anonymous_id) as anonymous_id from {{ ref('stg_events') }}
    where build_id > {{ low_mark() }}

),

events as (

    select * from {{ ref('stg_events') }}
    where
        anonymous_id in (select changed_events.anonymous_id from changed_events)
        and user_id is not null

),

usable_events as (

    select * from {{ ref('int_events__usable') }}
    where
        anonymous_id in (select changed_events.anonymous_id from changed_events)
        and user_id is not null

),

-- Everybody whom an event ever named: whose history a change of the owner can touch.
seen as (

    select
        anonymous_id,
        array_agg(distinct user_id) as seen_user_ids

    from events

    group by 1

),

owners as (

    select distinct on (anonymous_id)
        anonymous_id,
        user_id

    from usable_events

    order by anonymous_id, occurred_at, received_at, event_row_id

),

-- One whose owner stays the same concerns nobody, however many share it.
same_owners as (

    select
        changed_events.anonymous_id,
        true as is_known

    from changed_events

    {% if continues() -%}
    inner join {{ this }} as known using (anonymous_id)

    {% endif -%}
    left join owners using (anonymous_id)

    where owners.user_id is not distinct from {{ 'known.user_id' if continues() else 'null and false' }}

),

final as (

    select
        anonymous_id,
        owners.user_id,
        coalesce(seen.seen_user_ids, '{}') as seen_user_ids,
        {{ build_id() }} as build_id

    from changed_events

    left join seen using (anonymous_id)

    left join owners using (anonymous_id)

    left join same_owners using (anonymous_id)

    where anonymous_id is not null and same_owners.is_known is null

)

select * from final
