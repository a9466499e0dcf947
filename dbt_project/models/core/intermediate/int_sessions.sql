{{
    config(
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

        lag(occurred_at) over (partition by user_id order by occurred_at, received_at, event_row_id) as previous_at,
        event_type in ('page_viewed', 'screen_viewed') as is_view,
        {{ json_text("activity -> 'path'") }} as path,
        {{ json_text("activity -> 'device'") }} as device,
        {{ campaign_value("activity -> 'utmSource'") }} as utm_source,
        {{ campaign_value("activity -> 'utmMedium'") }} as utm_medium,
        {{ campaign_value("activity -> 'utmCampaign'") }} as utm_campaign,
        {{ url_host("(activity ->> 'referrer')") }} as referrer,
        {{ url_host("(activity ->> 'url')") }} as own_host

    from {{ ref('int_events') }}

    where
        is_interaction
        and user_id in (select changed_users.user_id from changed_users)

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
        ) as session_number,
        case
            when num_nonnulls(utm_source, utm_medium, utm_campaign) > 0
                then array[coalesce(utm_source, 'unknown'), utm_medium, utm_campaign]
        end as campaign,
        -- Nobody comes from where they are, nor from where they were sent to pay or sign in.
        case
            when
                not {{ is_host_of('referrer', 'unwanted_referrals') }}
                and (own_host is null or referrer <> own_host)
                then referrer
        end as referrer_host

    from interactions

),

sessions as (

    select
        user_id,
        session_number,

        {{ first_of('event_key') }} as session_key,
        {{ first_of('source') }} as source,
        {{ first_of('event_type') }} as entry_event_type,
        {{ first_of('path', 'is_view and path is not null') }} as entry_path,
        {{ first_of('path', 'is_view and path is not null', 'desc') }} as exit_path,
        {{ first_of('device', 'device is not null') }} as device,
        {{ first_of('campaign::text', 'campaign is not null') }}::text[] as campaign,
        {{ first_of('referrer_host', 'referrer_host is not null') }} as referrer_host,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        count(*) as event_count,
        count(*) filter (where is_view) as view_count

    from numbered

    group by 1, 2

),

names as (

    select distinct coalesce(campaign[1], referrer_host) as name from sessions

),

-- A host stands for its subdomains too; the longest counts.
known_sources as (

    select distinct on (names.name)
        names.name,
        traffic_sources.source,
        traffic_sources.medium

    from names

    inner join {{ ref('traffic_sources').render() }} as traffic_sources
        on
            names.name = traffic_sources.name
            or (
                traffic_sources.name like '%.%'
                and right(names.name, length(traffic_sources.name) + 1) = '.' || traffic_sources.name
            )

    order by names.name, length(traffic_sources.name) desc

),

traffic as (

    select
        sessions.*,
        coalesce(known_sources.source, sessions.campaign[1], sessions.referrer_host, 'direct') as traffic_source,
        case
            when sessions.campaign is not null then coalesce(sessions.campaign[2], 'none')
            when sessions.referrer_host is not null then coalesce(known_sources.medium, 'referral')
            else 'none'
        end as traffic_medium,
        coalesce(sessions.campaign[3], 'none') as traffic_campaign

    from sessions

    left join known_sources on coalesce(sessions.campaign[1], sessions.referrer_host) = known_sources.name

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
        traffic_source,
        traffic_medium,
        traffic_campaign,
        {{ report_date('started_at') }} as started_on,
        started_at,
        ended_at,
        round(extract(epoch from ended_at - started_at), 3) as duration_seconds,
        event_count,
        view_count,
        event_count = 1 as is_bounce,
        view_count > 0 or campaign is not null or referrer_host is not null as is_visit

    from traffic

)

select * from final
