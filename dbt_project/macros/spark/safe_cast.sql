{#- A value of a unit test's row; in Spark a time has seconds, and a zone minutes. -#}
{% macro spark__safe_cast(field, type) -%}
    {%- if field == 'null' -%}
        cast(null as {{ type }})
    {%- elif type == 'variant' -%}
        parse_json({{ field }})
    {%- elif type == 'timestamp' -%}
        timestamp '{{ modules.datetime.datetime.fromisoformat(field.strip("'")).isoformat(' ') }}'
    {%- elif type.startswith('interval') -%}
        interval {{ field }}
    {%- else -%}
        cast({{ field }} as {{ type }})
    {%- endif -%}
{%- endmacro %}
