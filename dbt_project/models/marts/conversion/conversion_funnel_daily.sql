{{
    config(
        materialized='incremental',
        unique_key='cohort_on',
        meta={'changes_of': 'fct_funnel_progress'},
        indexes=[{'columns': ['cohort_on', 'segment']}]
    )
}}

with

changes as (

    select * from {{ changes_of('fct_funnel_progress') }}

),

reached as (

    select * from {{ ref('int_funnel_steps_daily') }}
    where cohort_on in (select changes.cohort_on from changes)

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
        entries.reached as entered,
        coalesce(reached.reached, 0) as reached,
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
        round(reached::numeric / nullif(reached_previous, 0), 6) as step_rate,
        round(reached::numeric / entered, 6) as overall_rate,
        seconds_to_reach_p50,
        seconds_to_reach_p90

    from compared

)

select * from final
