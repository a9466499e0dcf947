with

totals as (

    select * from {{ ref('rpt_totals') }}

),

violations as (

    select * from {{ ref('tracking_plan_violations') }}

),

rejections as (

    select * from {{ ref('rpt_rejections_daily') }}

),

task_days as (

    select * from {{ ref('task_completion_daily') }}

),

profiles as (

    select * from {{ ref('credit_profiles') }}

),

findings as (

    select
        'violations' as kind,
        event_type || '.' || property as subject,
        occurred_on as day,
        events_missing + events_wrong_type as items

    from violations

    union all

    select
        'refused' as kind,
        rejection_code as subject,
        day,
        events_rejected as items

    from rejections

    union all

    -- What is open at the end of a week, not on each of its days.
    select
        'backlog' as kind,
        task_days.task_type as subject,
        task_days.day,
        task_days.backlog as items

    from task_days

    inner join totals on task_days.day in (totals.last_on, totals.last_on - 7)

    union all

    select
        'late_payers' as kind,
        'all' as subject,
        totals.last_on as day,
        count(*) as items

    from profiles

    cross join totals

    where profiles.last_missed_at > coalesce(profiles.last_payment_at, '-infinity')

    group by 3

),

-- The seven days up to the last event, and the seven before.
final as (

    select
        findings.kind,
        findings.subject,
        coalesce(sum(findings.items) filter (where findings.day > totals.last_on - 7), 0)::bigint as items_now,
        sum(findings.items) filter (where findings.day <= totals.last_on - 7)::bigint as items_before

    from findings

    inner join totals on findings.day between totals.last_on - 13 and totals.last_on

    group by 1, 2

)

select * from final

where items_now > 0
