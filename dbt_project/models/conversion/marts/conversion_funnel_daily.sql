{{
    config(
        materialized='incremental',
        unique_key='cohort_on',
        meta={'changes_of': 'fct_funnel_progress'},
        indexes=[{'columns': ['cohort_on', 'segment']}, {'columns': ['completes_at']}]
    )
}}

with

reached as (

    select * from {{ ref('int_funnel_steps_daily') }}
    where
        reached > 0
        and {{ is_changed_in('fct_funnel_progress', 'cohort_on', of_age='completes_at') }}

),

funnel_steps as (

    select * from {{ ref('funnels') }}
    where step_order is not null

),

steps as (

    select
        entries.funnel,
        funnel_steps.step_order,
        funnel_steps.step,
        entries.cohort_on,
        entries.segment,
        entries.segment_value,
        {{ end_of_day('entries.cohort_on') }} + funnel_steps.window_days * interval '24 hours' as completes_at,
        entries.reached as entered,
        entries.users as users_entered,
        coalesce(reached.reached, 0) as reached,
        coalesce(reached.users, 0) as users_reached,
        reached.seconds_to_reach_p50,
        reached.seconds_to_reach_p90

    from reached as entries

    inner join funnel_steps on entries.funnel = funnel_steps.funnel

    left join reached
        on
            entries.funnel = reached.funnel
            and entries.cohort_on = reached.cohort_on
            and entries.segment = reached.segment
            and entries.segment_value = reached.segment_value
            and funnel_steps.step_order = reached.step_order

    where entries.step_order = 1

),

compared as (

    select
        *,

        lag(reached, 1, entered) over (
            partition by funnel, cohort_on, segment, segment_value
            order by step_order
        ) as reached_previous

    from steps

),

final as (

    select
        {{ surrogate_key(['funnel', 'step_order', 'cohort_on', 'segment', 'segment_value']) }} as funnel_day_key,
        funnel,
        step_order,
        step,
        cohort_on,
        segment,
        segment_value,
        entered,
        reached_previous,
        reached,
        users_entered,
        users_reached,
        {{ rate('reached', 'reached_previous') }} as step_rate,
        {{ rate('reached', 'entered') }} as overall_rate,
        completes_at,
        completes_at <= {{ as_of() }} as is_complete,
        seconds_to_reach_p50,
        seconds_to_reach_p90

    from compared

)

select * from final
