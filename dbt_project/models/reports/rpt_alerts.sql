with

alerts as (

    select * from {{ ref('alerts') }}

),

metrics as (

    select * from {{ ref('rpt_metrics_daily') }}

),

freshness as (

    select * from {{ ref('rpt_source_freshness') }}

),

-- Whole days only: those before the day of the last build.
last_days as (

    select {{ report_date('max(builds.as_of)') }} - 1 as last_on

    from {{ builds() }} as builds

),

weeks as (

    select
        alerts.alert,
        weeks.ago,
        sum(metrics.part) as part,
        sum(metrics.whole) as whole

    from alerts

    cross join last_days

    cross join (values (0), (1)) as weeks (ago)

    left join metrics
        on
            alerts.metric = metrics.metric
            and coalesce(alerts.subject, metrics.subject) = metrics.subject
            and metrics.day <= last_days.last_on - 7 * weeks.ago
            and metrics.day > last_days.last_on - 7 * weeks.ago
            - case when alerts.metric = 'backlog' then 1 else alerts.days end

    group by 1, 2

),

compared as (

    select
        alerts.*,
        ({{ alert_value('now_of') }})::numeric(18, 6) as value_now,
        ({{ alert_value('week_before') }})::numeric(18, 6) as value_before

    from alerts

    inner join weeks as now_of
        on alerts.alert = now_of.alert and now_of.ago = 0

    inner join weeks as week_before
        on alerts.alert = week_before.alert and week_before.ago = 1

),

final as (

    select
        alert,
        metric,
        subject,
        value_now,
        value_before,
        coalesce(
            value_now < below
            or value_now > above
            or (value_before > 0 and value_now <= value_before * (1 - falls_percent / 100.0))
            or (value_before > 0 and value_now >= value_before * (1 + rises_percent / 100.0)),
            false
        ) as is_on,
        description

    from compared

    union all

    select
        'stale_' || source_table as alert,
        'hours_since_last_row' as metric,
        source_table as subject,
        round(extract(epoch from now() - last_received_at) / 3600, 1)::numeric(18, 6) as value_now,
        null::numeric(18, 6) as value_before,
        status = 'error' as is_on,
        'Nothing came for longer than error_after of the source, and than is usual' as description

    from freshness

)

select * from final
