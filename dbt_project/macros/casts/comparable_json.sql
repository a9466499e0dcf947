{#- JSON as what can be compared and grouped by, which a VARIANT of Spark cannot. -#}
{% macro comparable_json(value) -%}
    {{ return(adapter.dispatch('comparable_json')(value)) }}
{%- endmacro %}


{% macro default__comparable_json(value) -%}
    {{ value }}
{%- endmacro %}
