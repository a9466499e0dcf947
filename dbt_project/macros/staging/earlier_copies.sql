{#-
    The second idea of `stg_events`: rows that it has and whose state changes with what came in, which
    are earlier copies of it, and what it voids. Not those all of whose rows came in once more, as
    where a mark was set back: they are no copies of themselves.
-#}
{% macro earlier_copies(unread) -%}
    select known.*

    from {{ this }} as known

    where
        known.event_key in (
            select unread.event_key from {{ unread }} as unread
            union all
            select unread.voids_event_key from {{ unread }} as unread
            union all
            select staged.voids_event_key from {{ this }} as staged
            where staged.event_key in (select unread.event_key from {{ unread }} as unread)
        )
        and not exists (
            select 1 from (
                select
                    unread.event_key,
                    array_agg(unread.event_row_id) as row_ids

                from {{ unread }} as unread

                group by 1
            ) as unread_rows
            where
                known.event_key = unread_rows.event_key
                and known.event_row_id || known.duplicate_row_ids <@ unread_rows.row_ids
        )
{%- endmacro %}
