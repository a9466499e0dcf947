{#- What a metric is counted of; where it is a rate, `whole` is what its `part` is divided by. -#}
{%- set metrics = [
    ('events', 'rpt_events_daily', "''", 'day', 'events', 'null'),
    ('events_refused', 'rpt_rejections_daily', 'rejection_code', 'day', 'events_rejected', 'null'),
    (
        'plan_violations', 'tracking_plan_violations', 'event_type', 'occurred_on',
        'events_missing + events_wrong_type', 'null'
    ),
    ('visits', 'rpt_visits_daily', 'traffic_source', 'day', 'visits', 'null'),
    ('attempts', 'rpt_funnels_daily', 'funnel', 'day', 'attempts', 'null'),
    ('conversion_rate', 'rpt_funnels_daily', 'funnel', 'day', 'complete_conversions', 'complete_attempts'),
    ('tasks_opened', 'task_completion_daily', 'task_type', 'day', 'tasks_opened', 'null'),
    ('completion_rate', 'task_completion_daily', 'task_type', 'day', 'opened_then_completed', 'tasks_opened'),
    ('backlog', 'task_completion_daily', 'task_type', 'day', 'backlog', 'null'),
    ('on_time_rate', 'rpt_credit_bands_daily', 'band', 'day', 'payments_made', 'payments_due'),
] %}

with

measured as (
    {%- for metric, model, subject, day, part, whole in metrics %}

    select
        '{{ metric }}' as metric,
        {{ subject }} as subject,
        {{ day }} as day,
        {{ part }} as part,
        {{ whole }}::bigint as whole
    from {{ ref(model) }}
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

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
