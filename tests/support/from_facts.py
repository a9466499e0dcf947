"""The numbers of site and report as queries of the facts, without a view of reports."""

from __future__ import annotations

# By dataset of the site: its rows.
FROM_FACTS = {
    "conversion_daily": """
        select funnel, segment, value as segment_value, cohort_on as day, complete.is_complete,
            count(*) as attempts, count(*) filter (where is_converted) as conversions,
            count(*) filter (where complete.is_complete) as complete_attempts,
            count(*) filter (where complete.is_complete and is_converted)
                as complete_conversions,
            (
                select array_agg(reached order by step_order) from (
                    select step_order, (
                        select count(*) from marts.fct_funnel_progress as others
                        where others.funnel = progress.funnel
                            and others.cohort_on = progress.cohort_on
                            and others.segments ->> segment = value
                            and others.furthest_step_order >= step_order
                    ) as reached
                    from seeds.funnels
                    where funnels.funnel = progress.funnel and step_order is not null
                ) as steps
            ) as reached
        from marts.fct_funnel_progress as progress,
            jsonb_each_text(segments) as cuts (segment, value),
            lateral (
                select coalesce(
                    (cohort_on + 1)::timestamp + max(window_days) * interval '1 day'
                        <= timestamp '2026-11-01',
                    (cohort_on + 1)::timestamptz + (
                        select percentile_cont(0.9) within group (order by seconds_to_convert)
                        from marts.fct_funnel_progress as others
                        where others.funnel = progress.funnel
                    ) * interval '1 second' <= (select max(occurred_at) from marts.fct_events),
                    false
                )
                from seeds.funnels where funnels.funnel = progress.funnel
            ) as complete (is_complete)
        group by 1, 2, 3, 4, 5
    """,
    "funnels_daily": """
        select funnel, cohort_on as day, count(*) as attempts,
            count(*) filter (where is_converted) as conversions
        from marts.fct_funnel_progress group by 1, 2
    """,
    "attribution_daily": """
        select funnel, traffic_source, rule, converted_on as day, sum(credit) as conversions
        from marts.attribution, lateral (values
            ('First touch', first_touch_credit),
            ('Last touch', last_touch_credit),
            ('Last non-direct', last_non_direct_credit),
            ('Linear', linear_credit),
            ('Position-based', position_based_credit),
            ('Time decay', time_decay_credit)
        ) as rules (rule, credit)
        group by 1, 2, 3, 4
    """,
    "tasks_daily": """
        select label as task_type, day, bool_and(coalesce((day + 1)::timestamptz + (
                select percentile_cont(0.9) within group (order by completed_at - opened_at)
                from marts.fct_tasks where fct_tasks.task_type = daily.task_type
            ) <= (select max(least(occurred_at, received_at)) from marts.fct_events), false)
            ) as is_complete, sum(tasks_opened) as tasks_opened,
            sum(opened_then_completed) as tasks_completed,
            sum(opened_then_reworked) as tasks_reworked,
            sum(opened_then_reassigned) as tasks_reassigned,
            sum(daily.tasks_completed) as completions, sum(tasks_abandoned) as abandonments,
            sum(backlog) as backlog
        from marts.task_completion_daily as daily
            join (select distinct task_type, label from labelled) as labels using (task_type)
        group by 1, 2
    """,
    "credit_bands_daily": """
        select band_order, band, is_good, day, users,
            case when is_good then users else 0 end as users_in_good_bands, conversions,
            payments_made, payments_made + payments_missed as payments_due
        from marts.credit_band_daily join seeds.score_bands using (band, band_order)
        where band <> 'unknown'
    """,
    "credit_moves_daily": """
        select previous_band, band, valid_from::date as day, score > previous_score as is_up,
            count(*) as moves
        from marts.fct_credit_scores where previous_band <> band group by 1, 2, 3, 4
    """,
    "rejections_daily": """
        select rejection_code, day, sum(events_rejected) as events_rejected
        from marts.rejection_reasons_daily group by 1, 2 having sum(events_rejected) > 0
    """,
    "events_daily": """
        select event_subject, occurred_on as day, count(*) as events
        from marts.fct_events group by source, 1, 2
    """,
    "visits_daily": """
        select traffic_source, started_on as day, count(*) as visits,
            sum((event_count = 1)::integer) as bounces, sum(view_count) as views,
            round(sum(extract(epoch from ended_at - started_at))) as visit_seconds
        from marts.fct_sessions where is_visit group by 1, 2
    """,
    "pages_daily": """
        select path, day, sum(views) as views, sum(entries) as entries, sum(exits) as exits
        from (
            select coalesce(activity ->> 'path', activity ->> 'screen', '(none)'), occurred_on,
                1, 0, 0
            from marts.fct_events where event_type in ('page_viewed', 'screen_viewed')
            union all select entry_path, started_on, 0, 1, 0 from marts.fct_sessions
            union all select exit_path, started_on, 0, 0, 1 from marts.fct_sessions
        ) as counts (path, day, views, entries, exits)
        where path is not null group by 1, 2
    """,
    "last_hour": """
        select minutes as minutes_before, count(event_key) as events,
            count(*) filter (where event_type in ('page_viewed', 'screen_viewed')) as views
        from generate_series(0, 55, 5) as minutes
            cross join (
                select max(least(occurred_at, received_at)) from marts.fct_events
            ) as latest (at)
            left join marts.fct_events
                on least(occurred_at, received_at) <= at - minutes * interval '1 minute'
                and least(occurred_at, received_at) > at - (minutes + 5) * interval '1 minute'
        group by 1
    """,
    "outcomes_daily": """
        select funnel, outcome, cohort_on as day, count(*) as attempts
        from marts.fct_funnel_progress group by 1, 2, 3
    """,
    "retention_segments_weekly": """
        , firsts as (
            select distinct on (user_id) user_id, source, traffic_source, device
            from marts.fct_sessions order by user_id, started_at
        ),
        cut as (
            select segment, value, cohort_week, active_week, user_id
            from intermediate.int_user_weeks join firsts using (user_id), lateral (values
                ('all', 'all'), ('source', source), ('traffic_source', traffic_source),
                ('device', coalesce(device, 'unknown'))
            ) as segments (segment, value)
        )
        select segment, value as segment_value, cohort_week as day, array(
            select count(cut.user_id)
            from generate_series(cohort_week, date '2026-10-19', interval '7 days') as week
                left join cut on cut.segment = cohorts.segment and cut.value = cohorts.value
                    and cut.cohort_week = cohorts.cohort_week and active_week = week
            group by week order by week
        ) as users_active
        from (select distinct segment, value, cohort_week from cut) as cohorts
        where cohort_week <= '2026-10-19'
    """,
    "task_assignees_daily": """
        , names as (
            select *, coalesce(
                'clerk-' || substring(assignee from 'clerk-(.*)'),
                left(encode(sha256(assignee::bytea), 'hex'), 16),
                '(nobody)'
            ) as name from marts.fct_tasks
        ),
        places as (
            select name, row_number() over (order by count(*) desc, name) as place
            from names group by 1
        )
        select case when place <= 11 then name else '(other)' end as assignee, opened_on as day,
            count(*) as tasks_opened, sum((status = 'completed')::integer) as tasks_completed,
            sum((status in ('scheduled', 'started'))::integer) as tasks_open,
            count(wait_seconds) as tasks_waited, count(cycle_seconds) as tasks_timed,
            round(sum(coalesce(wait_seconds, 0))) as wait_seconds,
            round(sum(coalesce(cycle_seconds, 0))) as cycle_seconds
        from names join places using (name) group by 1, 2
    """,
    "tasks_overdue": """
        , ages as (
            select *, extract(epoch from coalesce(completed_at, (
                select max(least(occurred_at, received_at)) from marts.fct_events
            )) - opened_at) as age from marts.fct_tasks where status <> 'abandoned'
        ),
        usual as (
            select task_type, percentile_cont(0.9) within group (order by age) as usual_seconds
            from ages where status = 'completed' group by 1
        )
        select task_key, task_type, status, opened_on, round(age) as open_seconds,
            round(usual_seconds::numeric) as usual_seconds,
            left(encode(sha256(user_id::bytea), 'hex'), 16) as user_key
        from ages join usual using (task_type) where status <> 'completed' and age > usual_seconds
    """,
    "credit_scores": """
        select band, score / 10 * 10 as score_from,
            count(*) filter (where is_current and days = 0) as users,
            count(*) filter (where days = 30) as users_30d_ago,
            count(*) filter (where days = 90) as users_90d_ago
        from marts.fct_credit_scores, (values (0), (30), (90)) as moments (days),
            lateral (
                values (timestamptz '2026-11-01 00:00Z' - days * interval '24 hours')
            ) as t (at)
        where valid_from <= at and (valid_to > at or valid_to is null) group by 1, 2
    """,
    "credit_changes": """
        select days, case
            when abs(points) > 100 then sign(points) * 100
            else trunc((points + 9 * sign(points)) / 10) * 10
        end as points_to, count(*) as users
        from marts.credit_profiles, lateral (
            values (30, score_change_30d), (90, score_change_90d)
        ) as changes (days, points)
        where points is not null group by 1, 2
    """,
    "missed_payments": """
        select coalesce(score_band, 'unknown') as band, payments_missed, count(*) as users
        from (
            select user_id, least(sum((event_type = 'payment_missed')::integer), 6)
                as payments_missed
            from marts.fct_events where event_type in ('payment_made', 'payment_missed') group by 1
        ) as records join marts.dim_users using (user_id) group by 1, 2
    """,
}
LABELLED = """
    with counts as (
        select task_type, row_number() over (order by count(*) desc, task_type) as place
        from marts.fct_tasks group by 1
    ),
    labelled as (
        select *, case when place <= 11 then task_type else '(other)' end as label
        from marts.fct_tasks join counts using (task_type)
    ),
    labelled_times as (
        select label, opened_on, cycle_seconds from labelled where cycle_seconds is not null
    ),
    labelled_waits as (
        select label, opened_on, wait_seconds from labelled where wait_seconds is not null
    )
"""
DURATIONS = {
    "task_waits_daily": ("task_type", LABELLED + "table labelled_waits"),
    "conversion_times_daily": (
        "funnel",
        "select funnel, cohort_on, seconds_to_convert from marts.fct_funnel_progress"
        " where is_converted",
    ),
    "task_times_daily": (
        "task_type",
        LABELLED + "table labelled_times",
    ),
}


# The rates that have a column in a mart, or an average over a fact.
RATES = {
    "conversion_rate": f"""
        select sum(complete_conversions) / sum(complete_attempts)
        from ({FROM_FACTS["conversion_daily"]}) as facts where segment = 'all'
    """,  # noqa: S608
    "conversion_rate_so_far": "select avg(is_converted::integer) from marts.fct_funnel_progress",
    "completion_rate": "select avg((status = 'completed')::integer) from marts.fct_tasks",
    "rework_rate": "select avg((times_started > 1 or times_completed > 1)::integer)"
    " from marts.fct_tasks",
    "reassignment_rate": "select avg((assignee_count > 1)::integer) from marts.fct_tasks",
    "bounce_rate": "select avg(is_bounce::integer) from marts.fct_sessions where is_visit",
    "views_per_visit": "select avg(view_count) from marts.fct_sessions where is_visit",
    "seconds_per_visit": "select avg(duration_seconds) from marts.fct_sessions where is_visit",
    "seconds_of_waiting": "select avg(wait_seconds) from marts.fct_tasks",
    "seconds_of_work": "select avg(cycle_seconds) from marts.fct_tasks",
    "on_time_rate": "select sum(payments_made) / sum(payments_made + payments_missed)"
    " from marts.credit_band_daily where band <> 'unknown'",
}
