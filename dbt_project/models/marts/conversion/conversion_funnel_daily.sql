with

progress as (

    select * from {{ ref('fct_funnel_progress') }}

),

segments as (

    select * from {{ ref('int_funnel_segments') }}

),

funnel_steps as (

    select * from {{ ref('funnels') }}
    where step_order is not null

),

attempts as (

    select
        progress.funnel,
        progress.cohort_on,
        progress.started_at,
        progress.reached_at,
        progress.furthest_step_order,
        segments.segment,
        segments.segment_value

    from progress

    inner join segments on progress.progress_key = segments.progress_key

),

steps as (

    select
        attempts.funnel,
        funnel_steps.step_order,
        funnel_steps.step,
        attempts.cohort_on,
        attempts.segment,
        attempts.segment_value,

        count(*) as entered,
        count(*) filter (
            where attempts.furthest_step_order >= greatest(funnel_steps.step_order - 1, 1)
        ) as reached_previous,
        count(*) filter (where attempts.furthest_step_order >= funnel_steps.step_order) as reached,
        percentile_cont(array[0.5, 0.9]) within group (
            order by extract(epoch from attempts.reached_at[funnel_steps.step_order] - attempts.started_at)
        ) as seconds_to_reach

    from attempts

    inner join funnel_steps on attempts.funnel = funnel_steps.funnel

    group by 1, 2, 3, 4, 5, 6

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
        round(seconds_to_reach[1]::numeric, 3) as seconds_to_reach_p50,
        round(seconds_to_reach[2]::numeric, 3) as seconds_to_reach_p90

    from steps

)

select * from final
