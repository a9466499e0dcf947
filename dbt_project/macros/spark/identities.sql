{% macro spark__changed_visitors() -%}
    select distinct named.anonymous_id
    from {{ ref('stg_events').render() }} as events
    cross join unnest(events.other_anonymous_ids || array[events.anonymous_id] || events.aliased_ids) as named (anonymous_id)
    where named.anonymous_id is not null
{%- endmacro %}


{% macro spark__owners_by_alias(owners, aliases, hops) -%}
    with

    tied_owners_0 as (

        select
            anonymous_id,
            named_struct(
                'occurred_at', occurred_at, 'received_at', received_at, 'event_row_id', event_row_id, 'user_id', user_id
            ) as owner

        from {{ owners }}

    )
    {%- for hop in range(hops) %},

    -- An id's own, or the first that an alias names with it.
    tied_owners_{{ hop + 1 }} as (

        select
            aliases.anonymous_id,
            coalesce(
                min(case when tied.anonymous_id = aliases.anonymous_id then found.owner end), min(found.owner)
            ) as owner

        from {{ aliases }} as aliases

        inner join {{ aliases }} as tied on aliases.event_key = tied.event_key

        inner join tied_owners_{{ hop }} as found on tied.anonymous_id = found.anonymous_id

        group by 1

    )
    {%- endfor %}

    select * from {{ owners }}

    union all

    select
        tied.anonymous_id,
        tied.owner.user_id,
        tied.owner.occurred_at,
        tied.owner.received_at,
        tied.owner.event_row_id

    from tied_owners_{{ hops }} as tied

    where
        not exists (
            select 1 from {{ owners }} as owned
            where owned.anonymous_id = tied.anonymous_id
        )
{%- endmacro %}
