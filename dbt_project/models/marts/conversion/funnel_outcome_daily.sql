with

progress as (

    select * from {{ ref('fct_funnel_progress') }}

),

segments as (

    select * from {{ ref('int_funnel_segments') }}

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
        ) as seconds_to_end

    from progress

    inner join segments on progress.progress_key = segments.progress_key

    group by 1, 2, 3, 4, 5

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
        round(seconds_to_end[1]::numeric, 3) as seconds_to_end_p50,
        round(seconds_to_end[2]::numeric, 3) as seconds_to_end_p90

    from outcomes

)

select * from final
