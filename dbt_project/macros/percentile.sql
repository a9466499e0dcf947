{#- A percentile of an aggregate's values, to three decimals: of seconds, to the millisecond. -#}
{% macro percentile(fraction, value) -%}
    round((percentile_cont({{ fraction }}) within group (order by {{ value }}))::numeric, 3)
{%- endmacro %}
