{#- What stands in for the user id of a visitor whom no event has named yet. -#}
{% macro anonymous_user_id(anonymous_id) -%}
    'anonymous:' || {{ anonymous_id }}
{%- endmacro %}
