{#- The day on which a moment falls in the reporting time zone (seed `project_settings`). -#}
{% macro report_date(moment) -%}
    ({{ moment }} at time zone {{ project_setting('time_zone') }})::date
{%- endmacro %}


{#- The Monday of the week in which a day falls. -#}
{% macro report_week(day) -%}
    date_trunc('week', {{ day }}::timestamp)::date
{%- endmacro %}


{#- The moment at which a day is over in the reporting time zone. -#}
{% macro end_of_day(day) -%}
    (({{ day }} + 1)::timestamp at time zone {{ project_setting('time_zone') }})
{%- endmacro %}
