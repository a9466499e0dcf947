{{ config(materialized='view') }}

-- Without CTEs: PostgreSQL joins by index only into a view that has no `with` of its own.
select
    events.event_key,
    events.event_row_id,
    events.user_id,
    events.source,
    events.event_type,
    events.occurred_at,
    events.received_at,
    events.event_type in ('page_viewed', 'screen_viewed') as is_view,
    {{ json_text("events.activity -> 'path'") }} as path,
    {{ json_text("events.activity -> 'device'") }} as device,
    {{ campaign_value("events.activity -> 'utmSource'") }} as campaign_source,
    {{ campaign_value("events.activity -> 'utmMedium'") }} as campaign_medium,
    {{ campaign_value("events.activity -> 'utmCampaign'") }} as campaign_name,
    {{ referring_host("(events.activity ->> 'referrer')", "(events.activity ->> 'url')") }} as referrer_host

from {{ ref('int_events').render() }} as events

where events.is_interaction
