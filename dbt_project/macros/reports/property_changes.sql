{#-
    The CTEs of a view with the properties that are new, of another type or gone, and the first day of it.
    What comes on some days only is neither new nor gone before it was away for longer than between two
    days on which it came; seven days at least have to be known that tell. Of an event type the twenty
    newest, since clients choose names.
-#}
{% macro property_changes() -%}
-- The last day is not over: what stays away on it may yet come.
whole_days as (

    select
        event_type,
        count(*) as days

    from type_days

    where not is_last

    group by 1

),

spans as (

    select
        event_type,
        property,
        min(place) as first_place,
        max(place) as last_place,
        max(day_number) as days,
        coalesce(max(step), 1) as longest_step

    from property_days

    group by 1, 2

),

changes as (

    select
        event_type,
        property,
        change,
        place,
        row_number() over (partition by event_type order by place desc, property, change) as newest

    from (
        select
            event_type,
            property,
            'added' as change,
            first_place as place
        from spans
        where first_place > greatest(7, longest_step)

        union all

        select
            spans.event_type,
            spans.property,
            'removed' as change,
            spans.last_place + 1 as place
        from spans
        inner join whole_days on spans.event_type = whole_days.event_type
        where spans.days >= 7 and whole_days.days - spans.last_place >= spans.longest_step

        union

        select
            types.event_type,
            types.property,
            'type changed' as change,
            types.first_place as place
        from types
        inner join property_days
            on
                types.event_type = property_days.event_type
                and types.property = property_days.property
                and types.first_place = property_days.place
        where property_days.day_number > 7
    ) as found

)
{%- endmacro %}


{#- Names are as clients like: one that is long, or looks personal, has a key instead. -#}
{% macro shown_property(property) -%}
    case
        when length({{ property }}) > 64 or {{ likely_personal_value(property) }} is not null
            then '(hidden) ' || {{ user_key(property) }}
        else {{ property }}
    end
{%- endmacro %}
