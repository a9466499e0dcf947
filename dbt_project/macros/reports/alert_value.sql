{#- What an alert compares, of the sums of a week: a rate in percent, null without any; or a count. -#}
{% macro alert_value(week) -%}
    case
        when alerts.metric like '%_rate' then 100 * {{ rate(week ~ '.part', week ~ '.whole') }}
        else coalesce({{ week }}.part, 0)
    end
{%- endmacro %}
