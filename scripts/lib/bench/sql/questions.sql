-- Ten questions that analysts ask of the marts. Each has its name in the comment above it.

-- funnel of the last 30 days
select step_order, step, sum(entered) as entered, sum(reached) as reached
from marts.conversion_funnel_daily
where funnel = 'loan_application' and segment = 'all' and cohort_on > date '2026-10-01'
group by step_order, step
order by step_order;

-- conversion by week and device
select date_trunc('week', cohort_on) as week, segment_value as device, sum(reached) as reached
from marts.conversion_funnel_daily
where funnel = 'loan_application' and segment = 'device'
group by week, device
order by week, device;

-- one user's story
select occurred_at, event_type, activity
from marts.fct_events
where user_id = '4711'
order by occurred_at;

-- events by type on one day
select event_type, count(*) as events, count(distinct user_id) as users
from marts.fct_events
where occurred_on = date '2026-10-15'
group by event_type
order by events desc;

-- visits a day in the last month
select started_on, count(*) as sessions, avg(duration_seconds) as seconds, avg(is_bounce::integer) as bounce_rate
from marts.fct_sessions
where started_on > date '2026-10-01'
group by started_on
order by started_on;

-- what became of the tasks opened this week
select task_type, status, count(*) as tasks, percentile_cont(0.5) within group (order by cycle_seconds) as cycle_p50
from marts.fct_tasks
where opened_on between date '2026-10-12' and date '2026-10-18'
group by task_type, status;

-- backlog and completion by day
select task_type, day, backlog, completion_rate, cycle_seconds_p90
from marts.task_completion_daily
where day > date '2026-10-01'
order by task_type, day;

-- retention of the cohorts
select cohort_week, weeks_since, cohort_users, retention_rate
from marts.retention_weekly
order by cohort_week, weeks_since;

-- score bands through time
select day, band, users, users_entered, users_left
from marts.credit_band_daily
where day > date '2026-10-01'
order by day, band;

-- conversions by first touch
select traffic_source, sum(first_touch_credit) as first_touch, sum(linear_credit) as linear
from marts.attribution
where funnel = 'signup_to_conversion' and converted_on > date '2026-10-01'
group by traffic_source
order by linear desc;
