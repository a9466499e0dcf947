{#-
    The events that move attempts on, each with the attempt and how far it is by then.
-#}
{% macro funnel_moves() -%}
    {{ return(adapter.dispatch('funnel_moves')()) }}
{%- endmacro %}


{#- A walk by index, from each move to the next. -#}
{% macro default__funnel_moves() -%}
with recursive

-- Named once only, so that the search below goes by index.
next_events as (

    select * from {{ ref('int_funnel_events') }}

),

funnels as (

    select * from {{ ref('int_funnels') }}

),

entries as (

    select distinct on (user_id, funnel) *

    from {{ ref('int_funnel_events') }}

    where
        step_order = 1
        and {{ is_of_changed_user() }}

    order by user_id, funnel, position

),

-- Each turn finds the next event that moves an attempt on, by index: one per user and funnel.
moves as (

    select
        entries.user_id,
        entries.funnel,
        1 as attempt,
        entries.event_key,
        entries.source,
        entries.step_order,
        entries.step_order as reached_step_order,
        entries.occurred_at as started_at,
        entries.occurred_at,
        entries.position,
        case when funnels.last_step_order = 1 then coalesce(entries.outcome, 'converted') end as outcome

    from entries

    inner join funnels on entries.funnel = funnels.funnel

    union all

    select
        moves.user_id,
        moves.funnel,
        moves.attempt + next_event.is_entry::integer as attempt,
        next_event.event_key,
        next_event.source,
        next_event.step_order,
        coalesce(next_event.step_order, moves.reached_step_order) as reached_step_order,
        case when next_event.is_entry then next_event.occurred_at else moves.started_at end as started_at,
        next_event.occurred_at,
        next_event.position,
        case
            when next_event.step_order = funnels.last_step_order then coalesce(next_event.outcome, 'converted')
            when next_event.step_order is null then next_event.outcome
        end as outcome

    from moves

    inner join funnels on moves.funnel = funnels.funnel

    cross join lateral (
        select
            events.*,
            coalesce(events.step_order = 1, false) as is_entry

        from next_events as events

        where
            events.user_id = moves.user_id
            and events.funnel = moves.funnel
            and events.position > moves.position
            and case
                -- The attempt has ended, or its window has passed: only a new entry counts.
                when
                    moves.outcome is not null
                    or events.occurred_at > moves.started_at + funnels.conversion_window
                    then events.step_order = 1
                else events.step_order = moves.reached_step_order + 1 or events.step_order is null
            end

        order by events.position, events.step_order

        limit 1
    ) as next_event

)

select * from moves
{%- endmacro %}
