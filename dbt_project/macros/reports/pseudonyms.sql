{#-
    A user's name on pages: 16 hexadecimal digits of the SHA-256 of the id. It tells users apart and
    is found again by who knows the id; who does not can only guess ids.
-#}
{% macro user_key(user_id) -%}
    left(encode(sha256(convert_to({{ user_id }}, 'UTF8')), 'hex'), 16)
{%- endmacro %}


{#-
    An assignee on pages: as sent, but by its key where it looks personal, or where the tracking plan
    (seed `event_properties`) says that assignees are.
-#}
{% macro shown_assignee(assignee) -%}
    case
        when
            {{ likely_personal_value(assignee) }} is not null
            or exists (
                select 1 from {{ ref('event_properties').render() }} as properties
                where properties.property = 'assignee' and properties.pii_class <> 'none'
            )
            then {{ user_key(assignee) }}
        else coalesce({{ assignee }}, '(nobody)')
    end
{%- endmacro %}
