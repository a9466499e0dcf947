{% macro spark__json_text(value) -%}
    json_text({{ value }})
{%- endmacro %}


{% macro spark__json_numeric(value) -%}
    json_numeric({{ value }})
{%- endmacro %}


{% macro spark__json_user_id(value) -%}
    json_user_id({{ value }})
{%- endmacro %}


{% macro spark__json_timestamptz(value) -%}
    json_timestamptz({{ value }})
{%- endmacro %}
