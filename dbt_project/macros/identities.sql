{#- Anonymous ids whose owner can have changed: those that changed events name, and whom aliases tie to them, however far. -#}
{% macro changed_visitors() -%}
    {{ return(adapter.dispatch('changed_visitors')()) }}
{%- endmacro %}


{% macro default__changed_visitors() -%}
    with recursive

    changed_events as (

        select distinct named.anonymous_id
        from {{ ref('stg_events').render() }} as events
        cross join unnest(
            events.other_anonymous_ids || array[events.anonymous_id] || events.aliased_ids
        ) as named (anonymous_id)
        where {{ has_changed('events') }}

    ),

    tied_ids as (

        select aliases.anonymous_id from {{ ref('int_aliases').render() }} as aliases

        inner join changed_events on aliases.anonymous_id = changed_events.anonymous_id

        union

        select tied.anonymous_id from tied_ids

        inner join {{ ref('int_aliases').render() }} as aliases on tied_ids.anonymous_id = aliases.anonymous_id

        inner join {{ ref('int_aliases').render() }} as tied on aliases.event_key = tied.event_key

    )

    select anonymous_id from changed_events
    where anonymous_id is not null

    union

    select anonymous_id from tied_ids
{%- endmacro %}


{#- Whom events name together with these anonymous ids, be it by an alias. -#}
{% macro users_named_with(ids, aliases, events, columns) -%}
    select
        events.anonymous_id,
        {{ qualified(columns, 'events') }}

    from {{ events }} as events

    where
        events.anonymous_id in (select ids.anonymous_id from {{ ids }} as ids)
        and events.user_id is not null

    union all

    select
        aliases.anonymous_id,
        {{ qualified(columns, 'events') }}

    from {{ aliases }} as aliases

    inner join {{ events }} as events on aliases.event_key = events.event_key

    where events.user_id is not null
{%- endmacro %}


{#-
    Owners, and those that aliases find for ids without one: each turn, such an id takes that of an id
    that an alias names with it. `hops` is how many aliases away one is found.
-#}
{% macro owners_by_alias(owners, aliases, hops) -%}
    {{ return(adapter.dispatch('owners_by_alias')(owners, aliases, hops)) }}
{%- endmacro %}


{% macro default__owners_by_alias(owners, aliases, hops) -%}
    with

    tied_owners_0 as (

        select * from {{ owners }}
        where anonymous_id in (select aliases.anonymous_id from {{ aliases }} as aliases)

    )
    {%- for hop in range(hops) %},

    tied_owners_{{ hop + 1 }} as (

        select * from tied_owners_{{ hop }}

        union all

        (
            select distinct on (aliases.anonymous_id)
                aliases.anonymous_id,
                found.user_id,
                found.occurred_at,
                found.received_at,
                found.event_row_id

            from {{ aliases }} as aliases

            inner join {{ aliases }} as tied on aliases.event_key = tied.event_key

            inner join tied_owners_{{ hop }} as found on tied.anonymous_id = found.anonymous_id

            where
                not exists (
                    select 1 from tied_owners_{{ hop }} as owned
                    where owned.anonymous_id = aliases.anonymous_id
                )

            order by aliases.anonymous_id, found.occurred_at, found.received_at, found.event_row_id, found.user_id
        )

    )
    {%- endfor %}

    select * from {{ owners }}

    union all

    select * from tied_owners_{{ hops }} as tied
    where
        not exists (
            select 1 from {{ owners }} as owned
            where owned.anonymous_id = tied.anonymous_id
        )
{%- endmacro %}
