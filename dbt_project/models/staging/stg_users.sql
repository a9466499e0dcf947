{{
    config(
        unique_key='user_row_id',
        full_refresh=var('reload_raw', false),
        meta={'raw_table': 'users', 'row': ['user_row_id', 'received_at']},
        indexes=[
            {'columns': ['user_row_id'], 'unique': true},
            {'columns': ['user_id']},
            {'columns': ['occurred_at']},
            {'columns': ['build_id']},
        ],
        pre_hook=[
            "{{ refuse_incomplete_reload() }}",
            "{{ check_raw(
                source('raw', 'users'), 'user_row_id', 'received_at', 'received_at', 'array[user_row_id]'
            ) }}",
        ]
    )
}}

with

source as (

    select * from {{ source('raw', 'users') }}
    where {{ unread('user_row_id', 'received_at', 'array[user_row_id]') }}

),

email_hash_key as (

    select * from {{ source('secret', 'email_hash_key') }}

),

typed as (

    select
        ---------- ids
        source.user_row_id,
        {{ id_in_marts('source.user_id') }} as user_id,

        ---------- strings
        source.source,
        case
            when jsonb_typeof(source.payload -> 'email') = 'string'
                then {{ email_hash("source.payload ->> 'email'", 'email_hash_key') }}
        end as email_hash,

        ---------- numerics
        {{ json_score("source.payload -> 'ficoScore'") }} as score,

        ---------- booleans
        coalesce(jsonb_typeof(source.payload -> 'ficoScore'), 'null') <> 'null' as has_score,

        ---------- timestamps
        source.received_at,
        source.occurred_at as sent_occurred_at,
        {{ json_timestamptz("source.payload -> 'segmentSentAt'") }} as segment_sent_at

    from source

    cross join email_hash_key

),

scored as (

    select
        *,
        {{ skew_corrected_time('sent_occurred_at', 'segment_sent_at', 'received_at') }} as client_occurred_at

    from typed

),

-- A source that lost its last rows in a failover gives their ids out again.
known as (

    select
        known.user_row_id,
        known.other_user_ids || array[known.user_id] as user_ids

    from {{ known_rows({'user_row_id': 'bigint', 'other_user_ids': 'text[]', 'user_id': 'text'}) }} as known

    where known.user_row_id in (select source.user_row_id from source)

),

final as (

    select
        scored.user_row_id,
        scored.user_id,
        coalesce(array_remove(known.user_ids, scored.user_id), '{}'::text[]) as other_user_ids,
        scored.source,
        scored.email_hash,
        scored.score,
        scored.has_score and scored.score is null as is_score_invalid,
        {{ plausible_time('scored.client_occurred_at', 'scored.received_at') }} as occurred_at,
        scored.received_at,
        {{ build_id() }} as build_id

    from scored

    left join known on scored.user_row_id = known.user_row_id

)

select * from final
