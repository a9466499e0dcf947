{#- A score that JSON reports, as a whole number; null where it is none. -#}
{% macro json_score(value) -%}
    case when {{ is_score(json_numeric(value)) }} then round({{ json_numeric(value) }})::integer end
{%- endmacro %}
