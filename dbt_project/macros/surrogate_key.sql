{#- A stable key (md5 as text) of several columns; null is told apart from the empty text. -#}
{% macro surrogate_key(columns) -%}
    md5(jsonb_build_array({{ columns | join(', ') }})::text)
{%- endmacro %}
