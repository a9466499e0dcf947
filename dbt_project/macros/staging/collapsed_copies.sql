{#-
    The third idea of `stg_events`: of all copies of an event one is left, that with the smallest
    (received_at, row id), whichever was read first. It keeps the rows of the others, every id that
    any of them names, since a change of survivor touches their histories, and whether they differ.
-#}
{% macro collapsed_copies(copies, columns) -%}
    with

    -- Few events have copies: only these are sorted.
    copied_keys as (

        select event_key from {{ copies }}

        group by 1

        having count(*) > 1

    ),

    ranked as (

        select
            *,

            row_number() over (partition by event_key order by received_at, event_row_id) as copy_number

        from {{ copies }}

        where event_key in (select copied_keys.event_key from copied_keys)

    ),

    survivors as (

        select * from ranked
        where copy_number = 1

    ),

    collapsed as (

        select
            ranked.event_key,

            -- A row counts once, however often it was read.
            array_agg(distinct named.row_id) filter (where named.row_id <> survivors.event_row_id)
                as duplicate_row_ids,
            array_agg(distinct named.user_id) filter (where named.user_id is not null) as other_user_ids,
            array_agg(distinct named.anonymous_id) filter (where named.anonymous_id is not null)
                as other_anonymous_ids,
            bool_or(
                ranked.has_conflict
                or (ranked.event_type, ranked.user_id, ranked.anonymous_id, {{ comparable_json('ranked.activity') }})
                is distinct from (survivors.event_type, survivors.user_id, survivors.anonymous_id, {{ comparable_json('survivors.activity') }})
                or (
                    ranked.occurred_at <> survivors.occurred_at
                    and ranked.occurred_at_source = 'client'
                    and survivors.occurred_at_source = 'client'
                )
            ) as has_conflict

        from ranked

        inner join survivors on ranked.event_key = survivors.event_key

        cross join lateral unnest(
            array[ranked.event_row_id] || ranked.duplicate_row_ids,
            ranked.other_user_ids || array[ranked.user_id],
            ranked.other_anonymous_ids || array[ranked.anonymous_id] || ranked.aliased_ids
        ) as named (row_id, user_id, anonymous_id)

        group by 1

    )

    select
        {{ qualified(columns, 'copies') }},
        copies.duplicate_row_ids,
        copies.other_user_ids,
        copies.other_anonymous_ids,
        copies.has_conflict

    from {{ copies }} as copies

    where
        not exists (
            select 1 from copied_keys
            where copies.event_key = copied_keys.event_key
        )

    union all

    select
        {{ qualified(columns, 'survivors') }},
        coalesce(collapsed.duplicate_row_ids, '{}'::bigint[]),
        coalesce(collapsed.other_user_ids, '{}'::text[]),
        coalesce(collapsed.other_anonymous_ids, '{}'::text[]),
        collapsed.has_conflict

    from survivors

    inner join collapsed on survivors.event_key = collapsed.event_key
{%- endmacro %}
