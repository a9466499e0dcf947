-- The scores are those at the time of the prototype's last row, so that what is reported later
-- to Headwater alone is no difference. Emails are not compared: marts have none.
with

scores as (

    select * from moved_events
    where event_type = 'credit_score_updated'

),

moment as (

    select max(created_at) as last_at
    from (
        select created_at from prototype_users
        union all
        select created_at from prototype_events
    ) as times

),

amounts as (

    select
        moved_events.user_id,
        sum(fct_event_attributes.numeric_value) as total_cents

    from moved_events

    inner join fct_event_attributes using (event_key)

    where
        moved_events.event_type = 'conversion'
        and fct_event_attributes.property = 'amountCents'

    group by 1

),

activity as (

    select
        user_id,
        count(*) filter (where event_key is not null and event_type = 'task_completed') as tasks_completed,
        count(*) filter (where event_key is not null and event_type = 'conversion') as conversions,
        max(occurred_at) as last_event_at,

        -- What the ETL of the prototype, which goes by id, would write now.
        count(*) filter (where event_type = 'task_completed') as etl_tasks_completed,
        count(*) filter (where event_type = 'conversion') as etl_conversions,
        (array_agg(created_at order by event_number desc))[1] as etl_last_event_at,

        max(created_at) as last_created_at,
        count(*) filter (where reason is not null) as missing_events,
        (array_agg(event_id || ' ' || reason order by event_number) filter (where reason is not null))[1]
            as first_missing,
        bool_or(occurred_at <> created_at) as has_clamped,
        bool_or(event_type = 'conversion' and jsonb_typeof(number) is distinct from 'number') as has_no_number

    from moved_events

    group by 1

),

last_by_id as (

    select distinct on (user_id) * from scores

    order by user_id asc, event_number desc

),

last_by_time as (

    select distinct on (user_id) * from scores
    where event_key is not null

    order by user_id asc, occurred_at desc, event_number desc

),

marts as (

    select
        prototype_users.user_id,
        fct_credit_scores.score::numeric as fico_score,
        fct_credit_scores.band as score_band,
        coalesce(activity.tasks_completed, 0) as tasks_completed,
        coalesce(activity.conversions, 0) as conversions,
        coalesce(amounts.total_cents, 0) as total_cents,
        activity.last_event_at

    from prototype_users

    inner join dim_users on prototype_users.user_id = dim_users.user_id and dim_users.is_known

    cross join moment

    left join fct_credit_scores
        on
            prototype_users.user_id = fct_credit_scores.user_id
            and moment.last_at >= fct_credit_scores.valid_from
            and (moment.last_at < fct_credit_scores.valid_to or fct_credit_scores.is_current)

    left join activity on prototype_users.user_id = activity.user_id

    left join amounts on prototype_users.user_id = amounts.user_id

),

compared as (

    select
        coalesce(prototype.user_id, marts.user_id) as user_id,
        to_jsonb(prototype) as prototype_row,
        to_jsonb(marts) as marts_row,

        prototype.user_id is null
        or prototype.tasks_completed <> coalesce(activity.etl_tasks_completed, 0)
        or prototype.conversions <> coalesce(activity.etl_conversions, 0)
        or prototype.last_event_at is distinct from activity.etl_last_event_at
        or prototype.fico_score <> case
            when last_by_id.event_id is null then prototype_users.fico_score
            when jsonb_typeof(last_by_id.number) = 'number' then (last_by_id.number)::numeric
            else 0
        end as is_stale,

        marts.user_id is null as is_missing,
        activity.missing_events,
        activity.first_missing,
        activity.has_clamped,

        activity.has_no_number and prototype.total_cents <> marts.total_cents as is_amount_invalid,

        prototype.fico_score <> marts.fico_score
        and not exists (
            select from seeds.score_bands
            where prototype.fico_score between score_bands.min_score and score_bands.max_score
        ) as is_score_invalid,

        activity.etl_last_event_at <> activity.last_created_at
        or last_by_id.event_id <> last_by_time.event_id
        or prototype_users.created_at > last_by_time.occurred_at as is_out_of_order

    from prototype_credit_profiles as prototype

    full join marts on prototype.user_id = marts.user_id

    left join prototype_users on coalesce(prototype.user_id, marts.user_id) = prototype_users.user_id

    left join activity on coalesce(prototype.user_id, marts.user_id) = activity.user_id

    left join last_by_id on coalesce(prototype.user_id, marts.user_id) = last_by_id.user_id

    left join last_by_time on coalesce(prototype.user_id, marts.user_id) = last_by_time.user_id

)

select
    user_id,
    prototype_row,
    marts_row,

    coalesce(
        nullif(
            concat_ws(
                '; ',
                case when is_stale then 'the ETL of the prototype has not refreshed the row' end,
                case when is_missing then 'the user was refused or has another id' end,
                case
                    when missing_events > 0
                        then format('%s of its events missing, first %s', missing_events, first_missing)
                end,
                case when is_score_invalid then 'the prototype''s score is outside FICO''s range' end,
                case
                    when is_amount_invalid then 'amountCents is no number, which the prototype writes as 0'
                end,
                case when has_clamped then 'implausible time, clamped' end,
                case when is_out_of_order then 'ids and times are in another order, and marts go by time' end
            ),
            ''
        ),
        'unexplained'
    ) as reason

from compared

order by length(user_id), user_id
