-- The three tables of the prototype's etl.ts as plain SQL in its own database: the bound.
drop table if exists bound_conversion, bound_task_completion, bound_credit_profile;

create table bound_conversion as
select
    id as event_id,
    "userId" as user_id,
    activity ->> 'product' as product,
    (activity ->> 'amountCents')::integer as amount_cents,
    "createdAt" as converted_at
from "Event"
where "eventType" = 'conversion';

create table bound_task_completion as
select
    id as event_id,
    "userId" as user_id,
    activity ->> 'taskId' as task_id,
    activity ->> 'taskName' as task_name,
    (activity ->> 'durationMs')::integer as duration_ms,
    "createdAt" as completed_at
from "Event"
where "eventType" = 'task_completed';

create table bound_credit_profile as
with

activity_of_user as (

    select
        "userId" as user_id,
        count(*) filter (where "eventType" = 'task_completed') as tasks_completed,
        count(*) filter (where "eventType" = 'conversion') as conversions,
        sum((activity ->> 'amountCents')::integer) filter (where "eventType" = 'conversion') as total_cents,
        max("createdAt") as last_event_at,
        (
            array_agg((activity ->> 'ficoScore')::integer order by id desc)
            filter (where "eventType" = 'credit_score_updated')
        )[1] as last_score
    from "Event"
    group by 1

),

scored as (

    select
        "User".id as user_id,
        "User".email,
        coalesce(activity_of_user.last_score, "User"."ficoScore") as score,
        coalesce(activity_of_user.tasks_completed, 0) as tasks_completed,
        coalesce(activity_of_user.conversions, 0) as conversions,
        coalesce(activity_of_user.total_cents, 0) as total_cents,
        activity_of_user.last_event_at
    from "User"
    left join activity_of_user on activity_of_user.user_id = "User".id

)

select
    *,
    case
        when score >= 800 then 'exceptional'
        when score >= 740 then 'very_good'
        when score >= 670 then 'good'
        when score >= 580 then 'fair'
        else 'poor'
    end as score_band
from scored;
