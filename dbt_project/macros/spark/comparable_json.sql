{% macro spark__comparable_json(value) -%}
    comparable_json({{ value }})
{%- endmacro %}
