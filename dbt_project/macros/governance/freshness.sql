{#- How long nothing may come, as a source of dbt has it: null for as long as it likes. -#}
{% macro freshness_limit(limit) -%}
    {%- if limit and limit.count -%}
    interval '{{ limit.count }} {{ limit.period }}'
    {%- else -%}
    null::interval
    {%- endif -%}
{%- endmacro %}
