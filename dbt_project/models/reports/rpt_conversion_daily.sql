with

steps as not materialized (

    select * from {{ ref('conversion_funnel_daily') }}

),

attempts as (

    select * from {{ ref('fct_funnel_progress') }}
    where is_converted

),

events as (

    select * from {{ ref('fct_events') }}

),

-- Of funnels without a window: how long nine in ten conversions take.
usual_times as (

    select
        funnel,
        {{ percentile(0.9, 'seconds_to_convert') }} as seconds

    from attempts

    group by 1

),

labels as (

    select
        segment,
        segment_value,
        case
            when segment = 'band' then segment_value
            else {{ with_other('segment_value', 8, 'sum(entered)', within='segment') }}
        end as label

    from steps

    where step_order = 1

    group by 1, 2

),

step_totals as (

    select
        steps.funnel,
        steps.segment,
        labels.label as segment_value,
        steps.cohort_on as day,
        steps.step_order,
        bool_and(steps.is_complete) as is_complete,
        sum(steps.reached)::bigint as reached

    from steps

    inner join labels using (segment, segment_value)

    group by 1, 2, 3, 4, 5

),

cohorts as (

    select
        step_totals.funnel,
        step_totals.segment,
        step_totals.segment_value,
        step_totals.day,
        coalesce(
            bool_and(step_totals.is_complete),
            {{ end_of_day('step_totals.day') }} + max(usual_times.seconds) * interval '1 second'
            <= (select max(events.occurred_at) from events),
            false
        ) as is_complete,
        array_agg(step_totals.reached order by step_totals.step_order) as reached

    from step_totals

    left join usual_times on step_totals.funnel = usual_times.funnel

    group by 1, 2, 3, 4

),

final as (

    select
        *,
        reached[1] as attempts,
        reached[cardinality(reached)] as conversions,
        case when is_complete then reached[1] else 0 end as complete_attempts,
        case when is_complete then reached[cardinality(reached)] else 0 end as complete_conversions

    from cohorts

)

select * from final
