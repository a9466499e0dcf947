{#- The day on which a moment falls in the reporting time zone (seed `project_settings`). -#}
{% macro report_date(moment) -%}
    ({{ moment }} at time zone {{ project_setting('time_zone') }})::date
{%- endmacro %}


{#- The Monday of the week in which a day falls. -#}
{% macro report_week(day) -%}
    date_trunc('week', {{ day }}::timestamp)::date
{%- endmacro %}


{#-
    The moment at which a day is over in the reporting time zone. Where clocks go back from 01:00 to
    midnight (Havana, the Azores), midnight comes twice, and PostgreSQL takes the second one.
-#}
{% macro end_of_day(day) -%}
    {%- set midnight = "((" ~ day ~ " + 1)::timestamp at time zone " ~ project_setting('time_zone') ~ ")" -%}
    (
        {{ midnight }} - case
            when {{ report_date("(" ~ midnight ~ " - interval '1 hour')") }} > {{ day }} then interval '1 hour'
            else interval '0 hours'
        end
    )
{%- endmacro %}


{#- How many days one day is after another. -#}
{% macro days_between(later, earlier) -%}
    {{ return(adapter.dispatch('days_between')(later, earlier)) }}
{%- endmacro %}


{% macro default__days_between(later, earlier) -%}
    ({{ later }} - {{ earlier }})
{%- endmacro %}
