{#-
    In `prod`, and where Spark builds, a layer's schema has the layer's own name (staging, intermediate,
    marts); anywhere else it is prefixed by the developer's schema, so that nobody builds into anybody's marts.
-#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if custom_schema_name is none -%}
        {{ target.schema }}
    {%- elif target.name in ('prod', 'spark') -%}
        {{ custom_schema_name }}
    {%- else -%}
        {{ target.schema }}_{{ custom_schema_name }}
    {%- endif -%}
{%- endmacro %}
