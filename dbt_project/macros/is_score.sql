{#- FICO's published range; anything else is no score. The collector refuses it by the same. -#}
{% macro is_score(number) -%}
    {{ number }} between 300 and 850
{%- endmacro %}
