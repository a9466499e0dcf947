{{
    config(
        unique_key='user_id',
        meta={'changes': 'int_users__changed'},
        indexes=[{'columns': ['user_id']}]
    )
}}

with recursive

changed_users as not materialized (

    select * from {{ ref('int_users__changed') }}
    where build_id > {{ low_mark() }}

),

events as (

    select * from {{ ref('int_funnel_events') }}
    where user_id in (select changed_users.user_id from changed_users)

),

-- Named once only, so that the search below goes by index.
next_events as (

    select * from {{ ref('int_funnel_events') }}

),

funnels as (

    select
        funnel,
        max(step_order) as last_step_order,
        max(window_days) * interval '24 hours' as conversion_window

    from {{ ref('funnels') }}

    group by 1

),

entries as (

    select distinct on (user_id, funnel) *

    from events

    where step_order = 1

    order by user_id, funnel, position

),

-- Each turn finds the next event that moves an attempt on, by index: one per user and funnel.
moves as (

    select
        entries.user_id,
        entries.funnel,
        entries.event_key as entry_event_key,
        entries.source,
        1 as attempt,
        entries.step_order as reached_step_order,
        entries.step_order as move_step_order,
        entries.occurred_at,
        entries.occurred_at as started_at,
        entries.position,
        case when funnels.last_step_order = 1 then coalesce(entries.outcome, 'converted') end as outcome

    from entries

    inner join funnels on entries.funnel = funnels.funnel

    union all

    select
        moves.user_id,
        moves.funnel,
        case when next_event.is_entry then next_event.event_key else moves.entry_event_key end as entry_event_key,
        case when next_event.is_entry then next_event.source else moves.source end as source,
        moves.attempt + next_event.is_entry::integer as attempt,
        case
            when next_event.is_entry then 1
            else coalesce(next_event.step_order, moves.reached_step_order)
        end as reached_step_order,
        next_event.step_order as move_step_order,
        next_event.occurred_at,
        case when next_event.is_entry then next_event.occurred_at else moves.started_at end as started_at,
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

),

final as (

    select
        user_id,
        funnel,
        attempt,
        entry_event_key,
        source,
        move_step_order as step_order,
        reached_step_order,
        started_at,
        occurred_at,
        outcome

    from moves

)

select * from final
