{#- A percentile of an aggregate's values: of seconds, to the millisecond. -#}
{% macro percentile(fraction, value) -%}
    {{ to_millisecond('(percentile_cont(' ~ fraction ~ ') within group (order by ' ~ value ~ '))::numeric') }}
{%- endmacro %}


{#-
    `percentile_cont` counts in float8, and what is half a millisecond comes out as a little less. Of
    times to the millisecond and percentiles by the hundredth nothing is beyond the fifth digit.
-#}
{% macro to_millisecond(seconds) -%}
    round(round({{ seconds }}, 6), 3)
{%- endmacro %}
