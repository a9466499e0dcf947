{{
    config(
        unique_key='anonymous_id',
        indexes=[{'columns': ['anonymous_id'], 'unique': true}, {'columns': ['build_id']}]
    )
}}

{#- How many aliases away a user is found. -#}
{%- set hops = 3 %}

with recursive

changed_events as (

    select distinct unnest(other_anonymous_ids || anonymous_id || aliased_ids) as anonymous_id
    from {{ ref('stg_events') }}
    where build_id > {{ low_mark() }}

),

aliases as not materialized (

    select * from {{ ref('int_aliases') }}

),

-- Whom aliases tie to these, however far.
tied_ids as (

    select aliases.anonymous_id from aliases

    inner join changed_events on aliases.anonymous_id = changed_events.anonymous_id

    union

    select tied.anonymous_id from tied_ids

    inner join aliases on tied_ids.anonymous_id = aliases.anonymous_id

    inner join aliases as tied on aliases.event_key = tied.event_key

),

changed_ids as (

    select anonymous_id from changed_events
    where anonymous_id is not null

    union

    select anonymous_id from tied_ids

),

changed_aliases as (

    select
        aliases.event_key,
        aliases.anonymous_id

    from aliases

    inner join changed_ids on aliases.anonymous_id = changed_ids.anonymous_id

),

-- Everybody whom an event ever named: whose history a change of the owner can touch.
seen as (

    select
        anonymous_id,
        user_id

    from {{ ref('stg_events') }}

    where
        anonymous_id in (select changed_ids.anonymous_id from changed_ids)
        and user_id is not null

    union all

    select
        changed_aliases.anonymous_id,
        events.user_id

    from changed_aliases

    inner join {{ ref('stg_events').render() }} as events on changed_aliases.event_key = events.event_key

    where events.user_id is not null

),

seen_users as (

    select
        anonymous_id,
        array_agg(distinct user_id) as seen_user_ids

    from seen

    group by 1

),

usable_aliases as (

    select
        changed_aliases.anonymous_id,
        events.event_key,
        events.user_id,
        events.occurred_at,
        events.received_at,
        events.event_row_id

    from changed_aliases

    inner join {{ ref('int_events__usable').render() }} as events on changed_aliases.event_key = events.event_key

),

named as (

    select
        anonymous_id,
        user_id,
        occurred_at,
        received_at,
        event_row_id

    from {{ ref('int_events__usable') }}

    where anonymous_id in (select changed_ids.anonymous_id from changed_ids)

    union all

    select
        anonymous_id,
        user_id,
        occurred_at,
        received_at,
        event_row_id

    from usable_aliases

),

owners as (

    select distinct on (anonymous_id) *

    from named

    where user_id is not null

    order by anonymous_id, occurred_at, received_at, event_row_id

),

-- Each turn, ids without a user take that of an id that an alias names with them.
tied_owners_0 as (

    select * from owners
    where anonymous_id in (select usable_aliases.anonymous_id from usable_aliases)

),
{% for hop in range(hops) %}
tied_owners_{{ hop + 1 }} as (

    select * from tied_owners_{{ hop }}

    union all

    (
        select distinct on (usable_aliases.anonymous_id)
            usable_aliases.anonymous_id,
            found.user_id,
            found.occurred_at,
            found.received_at,
            found.event_row_id

        from usable_aliases

        inner join usable_aliases as tied on usable_aliases.event_key = tied.event_key

        inner join tied_owners_{{ hop }} as found on tied.anonymous_id = found.anonymous_id

        where
            not exists (
                select 1 from tied_owners_{{ hop }} as owned
                where owned.anonymous_id = usable_aliases.anonymous_id
            )

        order by
            usable_aliases.anonymous_id, found.occurred_at, found.received_at, found.event_row_id, found.user_id
    )

),
{% endfor %}
all_owners as (

    select * from owners

    union all

    select * from tied_owners_{{ hops }} as tied
    where
        not exists (
            select 1 from owners
            where owners.anonymous_id = tied.anonymous_id
        )

),

known as (

    {% if continues() -%}
    select * from {{ this }}
    {%- else -%}
    select
        null::text as anonymous_id,
        null::text as user_id,
        '{}'::text[] as seen_user_ids
    {%- endif %}

),

final as (

    select
        changed_ids.anonymous_id,
        owners.user_id,
        array(
            select distinct touched.user_id
            from unnest(seen_users.seen_user_ids || known.seen_user_ids || owners.user_id) as touched (user_id)
            where touched.user_id is not null
        ) as seen_user_ids,
        {{ build_id() }} as build_id

    from changed_ids

    left join seen_users on changed_ids.anonymous_id = seen_users.anonymous_id

    left join all_owners as owners on changed_ids.anonymous_id = owners.anonymous_id

    left join known on changed_ids.anonymous_id = known.anonymous_id

    -- One whose owner stays the same concerns nobody, however many share it.
    where
        known.anonymous_id is null
        or coalesce(owners.user_id, '') <> coalesce(known.user_id, '')

)

select * from final
