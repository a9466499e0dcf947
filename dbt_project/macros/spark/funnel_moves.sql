{#- A fold over all events of a user and funnel in their order, see `functions.sql` of scripts/lib/spark. -#}
{% macro spark__funnel_moves() -%}
with

walked as (

    select
        events.user_id,
        events.funnel,
        funnel_walk(
            sort_array(collect_list(named_struct(
                'position', events.position,
                'place', coalesce(events.step_order, 2147483647),
                'step_order', events.step_order,
                'event_key', events.event_key,
                'source', events.source,
                'occurred_at', events.occurred_at,
                'outcome', events.outcome
            ))),
            max(funnels.last_step_order),
            max(funnels.conversion_window)
        ) as moves

    from {{ ref('int_funnel_events') }} as events

    inner join {{ ref('int_funnels') }} as funnels on events.funnel = funnels.funnel

    group by 1, 2

)

select
    walked.user_id,
    walked.funnel,
    moves.attempt,
    moves.event_key,
    moves.source,
    moves.step_order,
    moves.reached_step_order,
    moves.started_at,
    moves.occurred_at,
    moves.position,
    moves.outcome

from walked

cross join lateral inline(walked.moves) as moves (
    attempt, event_key, source, step_order, reached_step_order, started_at, occurred_at, position, outcome
)
{%- endmacro %}
