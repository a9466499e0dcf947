with

events as (

    select * from {{ ref('rpt_events_daily') }}

),

rejections as (

    select * from {{ ref('rpt_rejections_daily') }}

),

violations as (

    select * from {{ ref('tracking_plan_violations') }}

),

funnels as (

    select * from {{ ref('rpt_funnels_daily') }}

),

task_days as (

    select * from {{ ref('task_completion_daily') }}

),

band_days as (

    select * from {{ ref('rpt_credit_bands_daily') }}

),

measured as (

    select
        'events' as metric,
        '' as subject,
        day,
        events as part,
        null::bigint as whole

    from events

    union all

    select
        'events_refused' as metric,
        rejection_code as subject,
        day,
        events_rejected as part,
        null as whole

    from rejections

    union all

    select
        'plan_violations' as metric,
        event_type as subject,
        occurred_on as day,
        events_missing + events_wrong_type as part,
        null as whole

    from violations

    union all

    select
        metrics.metric,
        funnels.funnel as subject,
        funnels.day,
        metrics.part,
        metrics.whole

    from funnels

    cross join
        lateral (
            values
            ('attempts', funnels.attempts, null),
            ('conversion_rate', funnels.complete_conversions, funnels.complete_attempts)
        ) as metrics (metric, part, whole)

    union all

    select
        metrics.metric,
        task_days.task_type as subject,
        task_days.day,
        metrics.part,
        metrics.whole

    from task_days

    cross join
        lateral (
            values
            ('tasks_opened', task_days.tasks_opened, null),
            ('completion_rate', task_days.opened_then_completed, task_days.tasks_opened),
            ('backlog', task_days.backlog, null)
        ) as metrics (metric, part, whole)

    union all

    select
        'on_time_rate' as metric,
        band as subject,
        day,
        payments_made as part,
        payments_due as whole

    from band_days

),

final as (

    select
        metric,
        subject,
        day,
        sum(part)::bigint as part,
        sum(whole)::bigint as whole

    from measured

    group by 1, 2, 3

)

select * from final
