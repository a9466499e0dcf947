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


{#-
    An SDK of Segment says when it sent an event, by the same clock as when the event happened: the
    difference is true even where the clock is wrong. Segment, Snowplow and PostHog always count
    back from receipt by it. That adds the time on the way to what happened, and puts a batch that
    was held up after what happened later. So a clock that is off by no more than
    `clock_tolerance_minutes` (seed `project_settings`) is believed, as it is without `sent_at`.
    Differences that `plausible_time` would cut anyway are cut here, before they leave the range of
    times; in UTC, since a day of an interval is not always 24 hours elsewhere.
-#}
{% macro skew_corrected_time(occurred_at, sent_at, received_at) -%}
    case
        when {{ sent_at }} - {{ occurred_at }} is null then {{ occurred_at }}
        when
            greatest({{ received_at }} - {{ sent_at }}, {{ sent_at }} - {{ received_at }})
            <= {{ project_setting('clock_tolerance_minutes') }}::integer * interval '1 minute'
            then {{ occurred_at }}
        else (
            {{ received_at }} at time zone 'UTC'
            - least({{ sent_at }} - {{ occurred_at }}, interval '438001 hours')
        ) at time zone 'UTC'
    end
{%- endmacro %}
