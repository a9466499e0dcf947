{#- The day on which a moment falls in the reporting time zone (seed `project_settings`). -#}
{% macro report_date(moment) -%}
    ({{ moment }} at time zone {{ project_setting('time_zone') }})::date
{%- endmacro %}


{#- The Monday of the week in which a day falls. -#}
{% macro report_week(day) -%}
    date_trunc('week', {{ day }}::timestamp)::date
{%- endmacro %}
