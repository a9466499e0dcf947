{#- A value of seed `project_settings`, as text. -#}
{% macro project_setting(setting) -%}
    (
        select project_settings.value from {{ ref('project_settings').render() }} as project_settings
        where project_settings.setting = '{{ setting }}'
    )
{%- endmacro %}
