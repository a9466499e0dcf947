{{ config(materialized='ephemeral') }}

with

source as (

    select * from {{ source('raw', 'events') }}

),

final as (

    select
        ---------- ids
        event_row_id,
        event_id,
        {{ surrogate_key(['source', 'event_id']) }} as event_key,
        {{ json_user_id("payload -> 'userId'") }} as sent_user_id,
        {{ json_user_id("payload -> 'anonymousId'") }} as sent_anonymous_id,
        -- An alias can name a visitor by several ids; Segment's has its own beside the contract's.
        case
            when payload ->> 'eventType' = 'user_aliased'
                then array[
                    {{ json_user_id("payload -> 'segment' -> 'anonymousId'") }},
                    {{ json_user_id("payload -> 'activity' -> 'previousId'") }}
                ]
            else '{}'::text[]
        end as sent_aliased_ids,
        case
            when payload ->> 'eventType' = 'event_voided'
                then {{ surrogate_key(['source', "payload -> 'activity' ->> 'eventId'"]) }}
        end as voids_event_key,

        ---------- strings
        source,
        {{ json_text("payload -> 'eventType'") }} as event_type,

        ---------- json
        case
            when jsonb_typeof(payload -> 'activity') = 'object'
                then
                    {{ segment_campaign("payload -> 'segment' -> 'context' -> 'campaign'") }}
                    || (payload -> 'activity')
        end as activity,

        ---------- booleans
        coalesce(jsonb_typeof(payload -> 'optedOut'), 'null') = 'string' as is_opted_out,
        coalesce(jsonb_typeof(payload -> 'userId'), 'null') <> 'null' as has_user_id,
        coalesce(jsonb_typeof(payload -> 'occurredAt'), 'null') <> 'null' as has_occurred_at,

        ---------- timestamps
        received_at,
        {{ json_timestamptz("payload -> 'occurredAt'") }} as sent_occurred_at,
        coalesce(
            {{ json_timestamptz("payload -> 'segmentSentAt'") }},
            {{ json_timestamptz("payload -> 'segment' -> 'sentAt'") }}
        ) as segment_sent_at,

        ---------- watermark
        loaded_xid

    from source

)

select * from final
