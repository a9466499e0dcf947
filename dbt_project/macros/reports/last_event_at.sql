{#- Up to when pages are: the last event, which did not happen after it was received. -#}
{% macro last_event_at() -%}
    (
        select max(least(events.occurred_at, events.received_at))
        from {{ ref('fct_events').render() }} as events
        where
            events.occurred_on >= (
                select max(latest.occurred_on) - 1
                from {{ ref('fct_events').render() }} as latest
            )
    )
{%- endmacro %}
