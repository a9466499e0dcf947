{{
    config(
        materialized='incremental',
        unique_key='user_id',
        meta={'changes': 'int_users__changed'}
    )
}}

with

events as (

    select * from {{ ref('fct_events') }}
    where {{ is_of_changed_user() }}

),

user_updates as (

    select * from {{ ref('int_users__updates') }}
    where {{ is_of_changed_user() }}

),

credit_scores as (

    select * from {{ ref('int_credit_scores') }}
    where
        is_current
        and {{ is_of_changed_user() }}

),

activity as (

    select
        user_id,

        count(*) as event_count,
        min(occurred_at) as first_event_at,
        max(occurred_at) as last_event_at,
        bool_or(is_identified) as is_identified,
        {{ first_of('source') }} as first_event_source

    from events

    group by 1

),

profiles as (

    select
        user_id,

        min(occurred_at) as first_update_at,
        max(occurred_at) as last_update_at,
        (array_agg(source order by occurred_at, received_at, user_row_id))[1] as first_update_source,
        (
            array_agg(email_hash order by occurred_at desc, received_at desc, user_row_id desc)
            filter (where email_hash is not null)
        )[1] as email_hash

    from user_updates

    group by 1

),

final as (

    select
        ---------- ids
        user_id,
        profiles.email_hash,

        ---------- strings
        case
            when profiles.first_update_at <= activity.first_event_at then profiles.first_update_source
            else coalesce(activity.first_event_source, profiles.first_update_source)
        end as first_source,
        credit_scores.band as score_band,

        ---------- numerics
        coalesce(activity.event_count, 0) as event_count,

        ---------- booleans
        profiles.user_id is not null as is_known,
        profiles.user_id is null and not activity.is_identified as is_anonymous,

        ---------- timestamps
        least(profiles.first_update_at, activity.first_event_at) as first_seen_at,
        greatest(profiles.last_update_at, activity.last_event_at) as last_seen_at

    from profiles

    full join activity using (user_id)

    left join credit_scores using (user_id)

)

select * from final
