{#- A value of seed `project_settings`, as text. -#}
{% macro project_setting(setting) -%}
    (select value from {{ ref('project_settings') }} where setting = '{{ setting }}')
{%- endmacro %}
