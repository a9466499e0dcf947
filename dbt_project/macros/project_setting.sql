{#- A value of seed `project_settings`, as text. -#}
{% macro project_setting(setting) -%}
    (select settings.value from {{ ref('project_settings') }} as settings where settings.setting = '{{ setting }}')
{%- endmacro %}
