{{
    config(
        unique_key='event_key',
        full_refresh=var('reload_raw', false),
        meta={
            'raw_table': 'events',
            'row': ['event_row_id', 'source', 'event_id'],
            'counted': ['source', 'received_at', 'rejection_code'],
        },
        indexes=[
            {'columns': ['event_key'], 'unique': true},
            {'columns': ['build_id']},
            {'columns': ['voids_event_key']},
            {'columns': ['anonymous_id']},
        ],
        pre_hook=[
            "{{ refuse_incomplete_reload() }}",
            "{{ check_raw(
                source('raw', 'events'), 'event_row_id', 'event_key', surrogate_key(['source', 'event_id']),
                'event_row_id || duplicate_row_ids'
            ) }}",
            "{{ forget_illegal_ids() }}",
        ]
    )
}}

{%- set columns = [
    'event_key', 'event_row_id', 'event_id', 'user_id', 'anonymous_id', 'aliased_ids', 'voids_event_key', 'source',
    'event_type', 'activity', 'occurred_at', 'occurred_at_source', 'received_at', 'rejection_code',
] %}

with

-- The offset keeps each cast computed once a row and not at every use.
unread as (

    select * from {{ ref('base_events') }}
    where {{ unread('event_row_id', 'event_key', 'event_row_id || duplicate_row_ids') }}
    offset 0  -- noqa: AM09

),

typed as (

    {{ typed_events('unread') }}

),

copies as (

    select
        {{ columns | join(',\n        ') }},
        '{}'::bigint[] as duplicate_row_ids,
        '{}'::text[] as other_user_ids,
        '{}'::text[] as other_anonymous_ids,
        false as has_conflict

    from typed
    {%- if is_incremental() %}

    union all

    select
        {{ columns | join(',\n        ') }},
        duplicate_row_ids,
        other_user_ids,
        other_anonymous_ids,
        has_conflict

    from ({{ earlier_copies('unread') }}) as earlier
    {%- endif %}

),

events as (

    {{ collapsed_copies('copies', columns) }}

),

final as (

    select
        *,
        {{ build_id() }} as build_id

    from events

)

select * from final
