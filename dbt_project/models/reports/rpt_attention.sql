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

-- The seven days up to the last event, and the seven before.
weeks as (

    select
        weeks.week,
        totals.last_on - 7 * weeks.ago - 6 as first_on,
        totals.last_on - 7 * weeks.ago as last_on

    from totals

    cross join (values ('now', 0), ('before', 1)) as weeks (week, ago)

),

findings as (

    select
        'violations' as kind,
        violations.event_type || '.' || violations.property as subject,
        weeks.week,
        sum(violations.events_missing + violations.events_wrong_type) as items

    from violations

    inner join weeks on violations.occurred_on between weeks.first_on and weeks.last_on

    group by 1, 2, 3

    union all

    select
        'refused' as kind,
        rejections.rejection_code as subject,
        weeks.week,
        sum(rejections.events_rejected) as items

    from rejections

    inner join weeks on rejections.day between weeks.first_on and weeks.last_on

    group by 1, 2, 3

    union all

    select
        'backlog' as kind,
        task_days.task_type as subject,
        weeks.week,
        sum(task_days.backlog) as items

    from task_days

    inner join weeks on task_days.day = weeks.last_on

    group by 1, 2, 3

    union all

    select
        'late_payers' as kind,
        'all' as subject,
        'now' as week,
        count(*) as items

    from profiles

    where last_missed_at > coalesce(last_payment_at, '-infinity')

),

final as (

    select
        kind,
        subject,
        coalesce(sum(items) filter (where week = 'now'), 0)::bigint as items_now,
        sum(items) filter (where week = 'before')::bigint as items_before

    from findings

    group by 1, 2

)

select * from final

where items_now > 0
