{{ config(unique_key='user_id', meta={'changes': 'int_users__changed'}, indexes=[
    {'columns': ['user_id', 'started_at']}, {'columns': ['started_on']}
]) }}

with

interactions as (

    select
        *,
        lag(occurred_at) over (partition by user_id order by occurred_at, received_at, event_row_id) as previous_at
    from {{ ref('int_interactions') }}
    where {{ is_of_changed_user() }}

),

numbered as (

    select
        *,
        count(*) filter (
            where previous_at is null
            or occurred_at > previous_at + {{ project_setting('session_gap_minutes') }}::integer * interval '1 minute'
        ) over (partition by user_id order by occurred_at, received_at, event_row_id) as session_number

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
        {{ first_of(
            "array[coalesce(campaign_source, 'unknown'), campaign_medium, campaign_name]::text",
            'num_nonnulls(campaign_source, campaign_medium, campaign_name) > 0'
        ) }}::text[] as campaign,
        {{ first_of('referrer_host', 'referrer_host is not null') }} as referrer_host,
        min(occurred_at) as started_at,
        max(occurred_at) as ended_at,
        count(*) as event_count,
        count(*) filter (where is_view) as view_count

    from numbered

    group by 1, 2

),

-- A host stands for its subdomains too; the longest counts.
known_sources as (

    select distinct on (names.name)
        names.name,
        traffic_sources.source,
        traffic_sources.medium

    from (select distinct coalesce(campaign[1], referrer_host) as name from sessions) as names

    inner join {{ ref('traffic_sources').render() }} as traffic_sources
        on
            right('.' || names.name, length(traffic_sources.name) + 1) = '.' || traffic_sources.name
            and (traffic_sources.name like '%.%' or names.name = traffic_sources.name)

    order by names.name, length(traffic_sources.name) desc

),

final as (

    select
        sessions.session_key,
        sessions.user_id,
        sessions.session_number,
        sessions.source,
        sessions.device,
        sessions.entry_event_type,
        sessions.entry_path,
        sessions.exit_path,
        coalesce(known_sources.source, sessions.campaign[1], sessions.referrer_host, 'direct') as traffic_source,
        case
            when sessions.campaign is not null then coalesce(sessions.campaign[2], 'none')
            when sessions.referrer_host is not null then coalesce(known_sources.medium, 'referral')
            else 'none'
        end as traffic_medium,
        coalesce(sessions.campaign[3], 'none') as traffic_campaign,
        {{ report_date('sessions.started_at') }} as started_on,
        sessions.started_at,
        sessions.ended_at,
        round(extract(epoch from sessions.ended_at - sessions.started_at), 3) as duration_seconds,
        sessions.event_count,
        sessions.view_count,
        sessions.event_count = 1 as is_bounce,
        sessions.view_count > 0 or num_nonnulls(sessions.campaign, sessions.referrer_host) > 0 as is_visit

    from sessions

    left join known_sources on coalesce(sessions.campaign[1], sessions.referrer_host) = known_sources.name

)

select * from final
