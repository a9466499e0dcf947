{{
    config(
        materialized='incremental',
        unique_key='user_id',
        meta={
            'changes': 'int_users__changed',
            'counted': ['user_id', 'funnel', 'cohort_on', 'started_at', 'reached_at', 'outcome', 'ended_at', 'segments'],
        },
        indexes=[
            {'columns': ['user_id']}, {'columns': ['expires_at']},
            {'columns': ['funnel', 'cohort_on', 'furthest_step_order']},
            {'columns': ['funnel', 'cohort_on', 'outcome']},
        ]
    )
}}

with

moves as (

    select * from {{ ref('int_funnel_moves') }}
    -- Also whose window is over by now.
    where {{ is_of_changed_user('expires_at') }}

),

segments as (

    select * from {{ ref('int_funnel_segments') }}

),

funnel_steps as (

    select * from {{ ref('funnels') }}
    where step_order is not null

),

funnels as (

    select * from {{ ref('int_funnels') }}

),

attempts as (

    select
        user_id,
        funnel,
        attempt,

        min(event_key) filter (where step_order = 1) as entry_event_key,
        min(source) filter (where step_order = 1) as source,
        min(started_at) as started_at,
        array_agg(occurred_at order by step_order) filter (where step_order is not null) as reached_at,
        max(reached_step_order) as furthest_step_order,
        max(outcome) as outcome,
        max(occurred_at) filter (where outcome is not null) as ended_at

    from moves

    group by 1, 2, 3

),

final as (

    select
        {{ surrogate_key(['attempts.user_id', 'attempts.funnel', 'attempts.attempt']) }} as progress_key,
        attempts.user_id,
        attempts.funnel,
        attempts.attempt,
        attempts.entry_event_key,
        attempts.source,
        segments.segments,
        {{ report_date('attempts.started_at') }} as cohort_on,
        attempts.started_at,
        attempts.reached_at,
        attempts.furthest_step_order,
        funnel_steps.step as furthest_step,
        coalesce(
            attempts.outcome,
            case when attempts.started_at + funnels.conversion_window <= {{ as_of() }} then 'expired' else 'open' end
        ) as outcome,
        attempts.ended_at,
        attempts.started_at + funnels.conversion_window as expires_at,
        attempts.started_at + funnels.conversion_window <= {{ as_of() }} as is_complete,
        attempts.furthest_step_order = funnels.last_step_order as is_converted,
        attempts.reached_at[funnels.last_step_order] as converted_at,
        round(extract(epoch from attempts.reached_at[funnels.last_step_order] - attempts.started_at), 3)
            as seconds_to_convert

    from attempts

    inner join segments using (user_id, funnel, attempt)

    inner join funnels on attempts.funnel = funnels.funnel

    inner join funnel_steps
        on
            attempts.funnel = funnel_steps.funnel
            and attempts.furthest_step_order = funnel_steps.step_order

)

select * from final
