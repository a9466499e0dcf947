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
] | join(',\n        ') %}

with

-- The offset keeps each cast computed once a row and not at every use.
unread as (

    select * from {{ ref('base_events') }}
    where {{ unread('event_row_id', 'event_key', 'event_row_id || duplicate_row_ids') }}
    offset 0  -- noqa: AM09

),

-- Ids that mean nobody name nobody: what has no other is refused.
identified as (

    select
        *,
        {{ told_from_visitors(legal_id('sent_user_id')) }} as user_id,
        {{ legal_id('sent_anonymous_id') }} as anonymous_id,
        array(
            select distinct aliased.id from unnest(unread.sent_aliased_ids) as aliased (id)
            where {{ legal_id('aliased.id') }} <> coalesce({{ legal_id('unread.sent_anonymous_id') }}, '')
            order by aliased.id
        ) as aliased_ids

    from unread

),

corrected as (

    select
        *,

        {{ skew_corrected_time('sent_occurred_at', 'segment_sent_at', 'received_at') }} as client_occurred_at

    from identified

),

timed as (

    select
        *,

        {{ plausible_time('coalesce(client_occurred_at, received_at)', 'received_at') }} as occurred_at,

        case
            when client_occurred_at is null then 'receipt'
            when client_occurred_at <> {{ plausible_time('client_occurred_at', 'received_at') }} then 'clamped'
            when client_occurred_at <> sent_occurred_at then 'corrected'
            else 'client'
        end as occurred_at_source,

        case
            when event_type is null then 'event_type_invalid'
            when has_user_id and sent_user_id is null then 'user_id_invalid'
            when coalesce(sent_user_id, sent_anonymous_id) is null then 'user_missing'
            when coalesce(user_id, anonymous_id) is null then 'user_illegal'
            when activity is null then 'activity_invalid'
            when has_occurred_at and sent_occurred_at is null then 'occurred_at_invalid'
        end as rejection_code

    from corrected

),

{% if is_incremental() -%}
unread_rows as (

    select
        event_key,
        array_agg(event_row_id) as row_ids

    from unread

    group by 1

),

-- Events all of whose rows came in once more, as where a mark was set back: they are not copies of
-- themselves.
read_again as (

    select known.event_key

    from {{ this }} as known

    inner join unread_rows on known.event_key = unread_rows.event_key

    where known.event_row_id || known.duplicate_row_ids <@ unread_rows.row_ids

),

{% endif -%}
copies as (

    select
        {{ columns }},
        '{}'::bigint[] as duplicate_row_ids,
        '{}'::text[] as other_user_ids,
        '{}'::text[] as other_anonymous_ids,
        false as has_conflict

    from timed

    {% if is_incremental() %}
    union all

    -- Earlier copies of what came in, and what it voids: their state changes with it.
    select
        {{ columns }},
        duplicate_row_ids,
        other_user_ids,
        other_anonymous_ids,
        has_conflict

    from {{ this }} as known

    where
        event_key in (
            select unread.event_key from unread
            union all
            select unread.voids_event_key from unread
            union all
            select staged.voids_event_key from {{ this }} as staged
            where staged.event_key in (select unread.event_key from unread)
        )
        and not exists (
            select 1 from read_again
            where known.event_key = read_again.event_key
        )
    {% endif %}

),

-- Few events have copies: only these are sorted.
copied_keys as (

    select event_key from copies

    group by 1

    having count(*) > 1

),

-- The survivor is the smallest (received_at, row id) of all copies, whichever was read first.
ranked as (

    select
        *,

        row_number() over (partition by event_key order by received_at, event_row_id) as copy_number

    from copies

    where event_key in (select copied_keys.event_key from copied_keys)

),

survivors as (

    select * from ranked
    where copy_number = 1

),

collapsed as (

    select
        ranked.event_key,

        -- A row counts once, however often it was read.
        coalesce(
            array_agg(distinct copied.row_id order by copied.row_id)
            filter (where copied.row_id <> survivors.event_row_id),
            '{}'
        ) as duplicate_row_ids,

        bool_or(
            ranked.has_conflict
            or (ranked.event_type, ranked.user_id, ranked.anonymous_id, ranked.activity)
            is distinct from (survivors.event_type, survivors.user_id, survivors.anonymous_id, survivors.activity)
            or (
                ranked.occurred_at <> survivors.occurred_at
                and ranked.occurred_at_source = 'client'
                and survivors.occurred_at_source = 'client'
            )
        ) as has_conflict

    from ranked

    inner join survivors on ranked.event_key = survivors.event_key

    cross join unnest(ranked.event_row_id || ranked.duplicate_row_ids) as copied (row_id)

    group by 1

),

-- Every id that any copy names: whose history a change of survivor touches.
named as (

    select
        event_key,
        array_agg(distinct user_id) as user_ids,
        array_agg(distinct anonymous_id) as anonymous_ids

    from (
        select
            event_key,
            unnest(other_user_ids || user_id) as user_id,
            unnest(other_anonymous_ids || anonymous_id || aliased_ids) as anonymous_id

        from ranked
    ) as ids

    group by 1

),

events as (

    select
        {{ columns }},
        duplicate_row_ids,
        other_user_ids,
        other_anonymous_ids,
        has_conflict

    from copies

    where
        not exists (
            select 1 from copied_keys
            where copies.event_key = copied_keys.event_key
        )

    union all

    select
        {{ columns }},
        collapsed.duplicate_row_ids,
        array_remove(named.user_ids, null) as other_user_ids,
        array_remove(named.anonymous_ids, null) as other_anonymous_ids,
        collapsed.has_conflict

    from survivors

    inner join collapsed using (event_key)

    inner join named using (event_key)

),

final as (

    select
        *,
        {{ build_id() }} as build_id

    from events

)

select * from final
