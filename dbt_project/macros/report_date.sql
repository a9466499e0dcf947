{#- The day on which a moment falls in the reporting time zone (seed `project_settings`). -#}
{% macro report_date(moment) -%}
    ({{ moment }} at time zone (
        select settings.value from {{ ref('project_settings') }} as settings where settings.setting = 'time_zone'
    ))::date
{%- endmacro %}
