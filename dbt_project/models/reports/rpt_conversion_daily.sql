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
        funnel,
        segment,
        segment_value,
        day,
        bool_and(is_complete) as is_complete,
        (array_agg(reached order by step_order))[1] as attempts,
        (array_agg(reached order by step_order desc))[1] as conversions,
        array_agg(reached order by step_order) as reached

    from step_totals

    group by 1, 2, 3, 4

),

dated as (

    select
        cohorts.funnel,
        cohorts.segment,
        cohorts.segment_value,
        cohorts.day,
        coalesce(
            cohorts.is_complete,
            {{ end_of_day('cohorts.day') }} + usual_times.seconds * interval '1 second'
            <= (select max(events.occurred_at) from events),
            false
        ) as is_complete,
        cohorts.attempts,
        cohorts.conversions,
        cohorts.reached

    from cohorts

    left join usual_times on cohorts.funnel = usual_times.funnel

),

final as (

    select
        *,
        case when is_complete then attempts else 0 end as complete_attempts,
        case when is_complete then conversions else 0 end as complete_conversions

    from dated

)

select * from final
