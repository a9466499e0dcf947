{{
    config(
        materialized='incremental',
        unique_key='cohort_on',
        meta={'changes_of': 'fct_funnel_progress'},
        indexes=[{'columns': ['cohort_on', 'segment']}, {'columns': ['completes_at']}]
    )
}}

with

outcomes as (

    select * from {{ ref('int_funnel_outcomes_daily') }}
    where
        attempts > 0
        and {{ is_changed_in('fct_funnel_progress', 'cohort_on', of_age='completes_at') }}

),

funnels as (

    select * from {{ ref('int_funnels') }}

),

compared as (

    select
        outcomes.*,
        sum(outcomes.attempts) over (
            partition by outcomes.funnel, outcomes.cohort_on, outcomes.segment, outcomes.segment_value
        ) as all_attempts,
        {{ end_of_day('outcomes.cohort_on') }} + funnels.conversion_window as completes_at

    from outcomes

    inner join funnels on outcomes.funnel = funnels.funnel

),

final as (

    select
        {{ surrogate_key(['funnel', 'outcome', 'cohort_on', 'segment', 'segment_value']) }} as outcome_day_key,
        funnel,
        outcome,
        cohort_on,
        segment,
        segment_value,
        attempts,
        {{ rate('attempts', 'all_attempts') }} as outcome_rate,
        completes_at,
        completes_at <= {{ as_of() }} as is_complete,
        seconds_to_end_p50,
        seconds_to_end_p90

    from compared

)

select * from final
