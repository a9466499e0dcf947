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

progress as (

    select * from {{ ref('fct_funnel_progress') }}

),

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

    select distinct
        funnel,
        cohort_on,
        outcome

    from changed_times

),

outcomes as (

    select
        progress.funnel,
        progress.outcome,
        progress.cohort_on,
        segments.segment,
        segments.segment_value,

        count(*) as attempts,
        percentile_cont(array[0.5, 0.9]) within group (
            order by extract(epoch from progress.ended_at - progress.started_at)
        )::numeric[] as seconds_to_end

    from changed_outcomes

    inner join progress using (funnel, cohort_on, outcome)

    cross join jsonb_each_text(progress.segments) as segments (segment, segment_value)

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
        cohort_on in (select changes.cohort_on from changes)
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
        {{ surrogate_key(['funnel', 'outcome', 'cohort_on', 'segment', 'segment_value']) }} as outcome_day_key,
        funnel,
        outcome,
        cohort_on,
        segment,
        segment_value,
        attempts,
        round(
            attempts / sum(attempts) over (partition by funnel, cohort_on, segment, segment_value), 6
        ) as outcome_rate,
        round(seconds_to_end[1], 3) as seconds_to_end_p50,
        round(seconds_to_end[2], 3) as seconds_to_end_p90

    from outcomes

)

select * from final
