{{
    config(
        materialized='incremental',
        unique_key='cohort_on',
        meta={'changes_of': 'fct_funnel_progress'},
        indexes=[{'columns': ['cohort_on', 'segment']}, {'columns': ['completes_at']}]
    )
}}

with

changes as (

    select * from {{ changes_of('fct_funnel_progress') }}

),

progress as (

    select * from {{ ref('fct_funnel_progress') }}

),

funnels as (

    select
        funnel,
        max(window_days) * interval '24 hours' as conversion_window

    from {{ ref('funnels') }}

    group by 1

),

attempts as (

    select * from {{ ref('int_funnel_attempts__segmented') }}

),

others as (

    select * from {{ ref('int_funnel_segment_values') }}
    where
        is_other
        and cohort_on in (select changes.cohort_on from changes)

),

{% if continues() -%}
concerned as (

    select cohort_on from changes

    union

    -- Whose last window is over by now.
    select cohort_on from {{ this }}
    where {{ has_come_of_age('completes_at', '0 hours') }}

),

{% endif -%}
-- What attempts came to, or no longer do; what came as it went is no change.
changed_times as (

    select
        funnel,
        cohort_on,
        outcome

    from changes

    group by 1, 2, 3, segments, ended_at - started_at

    having sum(change) <> 0

),

changed_outcomes as (

    select
        funnel,
        cohort_on,
        outcome

    from changed_times

    union

    -- Which values are among the others can have changed with any attempt.
    select
        progress.funnel,
        progress.cohort_on,
        progress.outcome

    from progress

    where
        exists (
            select 1 from others
            where progress.funnel = others.funnel and progress.cohort_on = others.cohort_on
        )

),

outcomes as (

    select
        attempts.funnel,
        attempts.outcome,
        attempts.cohort_on,
        attempts.segment,
        attempts.segment_value,

        count(*) as attempts,
        percentile_cont(array[0.5, 0.9]) within group (
            order by extract(epoch from attempts.ended_at - attempts.started_at)
        )::numeric[] as seconds_to_end

    from changed_outcomes

    inner join attempts using (funnel, cohort_on, outcome)

    group by 1, 2, 3, 4, 5
    {%- if continues() %}

    union all

    select
        funnel,
        outcome,
        cohort_on,
        segment,
        segment_value,
        attempts,
        array[seconds_to_end_p50, seconds_to_end_p90] as seconds_to_end

    from {{ this }} as known

    where
        cohort_on in (select concerned.cohort_on from concerned)
        and not exists (
            select 1 from changed_outcomes
            where
                known.funnel = changed_outcomes.funnel
                and known.cohort_on = changed_outcomes.cohort_on
                and known.outcome = changed_outcomes.outcome
        )
    {%- endif %}

),

final as (

    select
        {{ surrogate_key([
            'outcomes.funnel', 'outcomes.outcome', 'outcomes.cohort_on', 'outcomes.segment', 'outcomes.segment_value'
        ]) }} as outcome_day_key,
        outcomes.funnel,
        outcomes.outcome,
        outcomes.cohort_on,
        outcomes.segment,
        outcomes.segment_value,
        outcomes.attempts,
        {{ rate('outcomes.attempts', 'sum(outcomes.attempts) over (
                partition by outcomes.funnel, outcomes.cohort_on, outcomes.segment, outcomes.segment_value
            )') }} as outcome_rate,
        {{ end_of_day('outcomes.cohort_on') }} + funnels.conversion_window as completes_at,
        {{ end_of_day('outcomes.cohort_on') }} + funnels.conversion_window <= {{ as_of() }} as is_complete,
        round(outcomes.seconds_to_end[1], 3) as seconds_to_end_p50,
        round(outcomes.seconds_to_end[2], 3) as seconds_to_end_p90

    from outcomes

    inner join funnels on outcomes.funnel = funnels.funnel

)

select * from final
