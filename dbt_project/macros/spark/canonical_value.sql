{% macro spark__canonical_value(value) -%}
    canonical_value({{ value }})
{%- endmacro %}
