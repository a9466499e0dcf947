{{ config(materialized='view') }}

-- Without CTEs: PostgreSQL joins by index only into a view that has no `with` of its own.
select
    progress.progress_key,
    progress.user_id,
    progress.funnel,
    progress.cohort_on,
    segments.segment,
    case when others.is_other then '(other)' else segments.segment_value end as segment_value,
    progress.outcome,
    progress.started_at,
    progress.reached_at,
    progress.furthest_step_order,
    progress.ended_at

from {{ ref('fct_funnel_progress').render() }} as progress

cross join jsonb_each_text(progress.segments) as segments (segment, segment_value)

left join {{ ref('int_funnel_segment_values').render() }} as others
    on
        progress.funnel = others.funnel
        and progress.cohort_on = others.cohort_on
        and segments.segment = others.segment
        and segments.segment_value = others.segment_value
        and others.is_other
