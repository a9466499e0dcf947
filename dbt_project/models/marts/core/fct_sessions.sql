{{
    config(
        materialized='incremental',
        unique_key='user_id',
        meta={'changes': 'int_users__changed'},
        indexes=[{'columns': ['user_id', 'started_at']}, {'columns': ['started_on']}]
    )
}}

with

changed_users as not materialized (

    select * from {{ ref('int_users__changed') }}
    where build_id > {{ low_mark() }}

),

interactions as (

    select
        *,

        lag(occurred_at) over user_events as previous_at,
        {{ json_text("activity -> 'path'") }} as path,
        {{ json_text("activity -> 'device'") }} as device,
        substring({{ json_text("activity -> 'referrer'") }} from '^[a-z]+://([^/:?#]+)') as referrer_host,
        {{ json_text("activity -> 'utmSource'") }} as utm_source,
        {{ json_text("activity -> 'utmMedium'") }} as utm_medium,
        {{ json_text("activity -> 'utmCampaign'") }} as utm_campaign

    from {{ ref('fct_events') }}

    where
        is_interaction
        and user_id in (select changed_users.user_id from changed_users)

    window user_events as (
        partition by user_id
        order by occurred_at, received_at, event_row_id
    )

),

numbered as (

    select
        *,

        count(*) filter (
            where previous_at is null
            or occurred_at > previous_at + {{ project_setting('session_gap_minutes') }}::integer * interval '1 minute'
        ) over (
            partition by user_id
            order by occurred_at, received_at, event_row_id
        ) as session_number

    from interactions

),

sessions as (

    select
        user_id,
        session_number,

        (array_agg(event_key order by occurred_at, received_at, event_row_id))[1] as session_key,
        (array_agg(source order by occurred_at, received_at, event_row_id))[1] as source,
        (array_agg(event_type order by occurred_at, received_at, event_row_id))[1] as entry_event_type,
        (array_agg(path order by occurred_at, received_at, event_row_id) filter (where path is not null))[1]
            as entry_path,
        (
            array_agg(path order by occurred_at desc, received_at desc, event_row_id desc)
            filter (where path is not null)
        )[1] as exit_path,
        (array_agg(device order by occurred_at, received_at, event_row_id) filter (where device is not null))[1]
            as device,
        (array_agg(referrer_host order by occurred_at, received_at, event_row_id))[1] as referrer_host,
        (array_agg(utm_source order by occurred_at, received_at, event_row_id))[1] as utm_source,
        (array_agg(utm_medium order by occurred_at, received_at, event_row_id))[1] as utm_medium,
        (array_agg(utm_campaign order by occurred_at, received_at, event_row_id))[1] as utm_campaign,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        count(*) as event_count,
        count(*) filter (where event_type in ('page_viewed', 'screen_viewed')) as view_count

    from numbered

    group by 1, 2

),

final as (

    select
        session_key,
        user_id,
        session_number,
        source,
        device,
        entry_event_type,
        entry_path,
        exit_path,
        coalesce(utm_source, referrer_host, 'direct') as traffic_source,
        coalesce(utm_medium, case when referrer_host is null then 'none' else 'referral' end) as traffic_medium,
        coalesce(utm_campaign, 'none') as traffic_campaign,
        {{ report_date('started_at') }} as started_on,
        started_at,
        ended_at,
        round(extract(epoch from ended_at - started_at), 3) as duration_seconds,
        event_count,
        view_count,
        event_count = 1 as is_bounce

    from sessions

)

select * from final
