{#-
    A client's clock can be wrong by any amount: what cannot be true is moved to the nearest time
    that can be, from 50 years of 365 days before receipt to one day after it.
-#}
{% macro plausible_time(sent_at, received_at) -%}
    least(
        greatest({{ sent_at }}, {{ received_at }} - interval '438000 hours'),
        {{ received_at }} + interval '24 hours'
    )
{%- endmacro %}
