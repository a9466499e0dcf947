{#- The value of the first (or last) of a group's events, by time and then arrival. -#}
{% macro first_of(column, condition='true', order='asc') -%}
    (
        array_agg({{ column }} order by occurred_at {{ order }}, received_at {{ order }}, event_row_id {{ order }})
        {%- if condition != 'true' %} filter (where {{ condition }}){% endif %}
    )[1]
{%- endmacro %}
