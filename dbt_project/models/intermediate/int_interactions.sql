{{ config(materialized='ephemeral') }}

with

events as (

    select * from {{ ref('fct_events') }}
    where is_interaction

),

typed as (

    select
        *,

        event_type in ('page_viewed', 'screen_viewed') as is_view,
        {{ json_text("activity -> 'path'") }} as path,
        {{ json_text("activity -> 'device'") }} as device,
        {{ campaign_value("activity -> 'utmSource'") }} as utm_source,
        {{ campaign_value("activity -> 'utmMedium'") }} as utm_medium,
        {{ campaign_value("activity -> 'utmCampaign'") }} as utm_campaign,
        {{ url_host("activity ->> 'referrer'") }} as referrer,
        {{ url_host("activity ->> 'url'") }} as own_host

    from events

),

final as (

    select
        user_id,
        event_key,
        event_row_id,
        source,
        event_type,
        occurred_at,
        received_at,
        is_view,
        path,
        device,
        case
            when num_nonnulls(utm_source, utm_medium, utm_campaign) > 0
                then array[coalesce(utm_source, 'unknown'), utm_medium, utm_campaign]
        end as campaign,
        -- Nobody comes from where they are, nor from where they were sent to pay or sign in.
        case
            when
                referrer is distinct from own_host
                and not {{ is_host_of('referrer', 'unwanted_referrals') }}
                then referrer
        end as referrer_host

    from typed

)

select * from final
