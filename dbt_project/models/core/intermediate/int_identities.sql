{{
    config(
        unique_key='anonymous_id',
        indexes=[{'columns': ['anonymous_id'], 'unique': true}, {'columns': ['build_id']}]
    )
}}

with

changed_ids as (

    {{ changed_visitors() }}

),

changed_aliases as (

    select
        aliases.event_key,
        aliases.anonymous_id

    from {{ ref('int_aliases').render() }} as aliases

    inner join changed_ids on aliases.anonymous_id = changed_ids.anonymous_id

),

usable_aliases as (

    select
        changed_aliases.event_key,
        changed_aliases.anonymous_id

    from changed_aliases

    inner join {{ ref('int_events__usable').render() }} as events on changed_aliases.event_key = events.event_key

),

-- Everybody whom an event ever named: whose history a change of the owner can touch.
seen_users as (

    select
        anonymous_id,
        array_agg(distinct user_id) as seen_user_ids

    from ({{ users_named_with('changed_ids', 'changed_aliases', ref('stg_events').render(), ['user_id']) }}) as seen

    group by 1

),

first_owners as (

    select distinct on (anonymous_id) *

    from (
        {{ users_named_with(
            'changed_ids', 'changed_aliases', ref('int_events__usable').render(),
            ['user_id', 'occurred_at', 'received_at', 'event_row_id']
        ) }}
    ) as named

    order by anonymous_id, occurred_at, received_at, event_row_id

),

owners as (

    {{ owners_by_alias('first_owners', 'usable_aliases', hops=3) }}

),

known as (

    select held.* from {{ known_rows({'anonymous_id': 'text', 'user_id': 'text', 'seen_user_ids': 'text[]'}) }} as held

),

final as (

    select
        changed_ids.anonymous_id,
        owners.user_id,
        array(
            select distinct touched.user_id
            from unnest(seen_users.seen_user_ids || known.seen_user_ids || array[owners.user_id]) as touched (user_id)
            where touched.user_id is not null
        ) as seen_user_ids,
        {{ build_id() }} as build_id

    from changed_ids

    left join seen_users on changed_ids.anonymous_id = seen_users.anonymous_id

    left join owners on changed_ids.anonymous_id = owners.anonymous_id

    left join known on changed_ids.anonymous_id = known.anonymous_id

    -- One whose owner stays the same concerns nobody, however many share it.
    where
        known.anonymous_id is null
        or coalesce(owners.user_id, '') <> coalesce(known.user_id, '')

)

select * from final
