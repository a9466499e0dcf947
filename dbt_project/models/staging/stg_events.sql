{{
    config(
        unique_key='event_key',
        full_refresh=var('reload_raw', false),
        indexes=[
            {'columns': ['event_key'], 'unique': true},
            {'columns': ['build_id']},
            {'columns': ['voids_event_key']},
            {'columns': ['anonymous_id']},
        ],
        pre_hook=[
            "{{ refuse_incomplete_reload(source('raw', 'events'), 'event_row_id') }}",
            "{{ check_raw(
                source('raw', 'events'), 'event_row_id', 'event_key', surrogate_key(['source', 'event_id']),
                'event_row_id || duplicate_row_ids'
            ) }}",
        ]
    )
}}

{%- set columns = [
    'event_key', 'event_row_id', 'event_id', 'user_id', 'anonymous_id', 'voids_event_key', 'source', 'event_type',
    'activity', 'occurred_at', 'occurred_at_source', 'received_at', 'rejection_code',
] | join(',\n        ') %}

with

-- Materialized, so that each cast is computed once a row and not at every use.
unread as materialized (

    select * from {{ ref('base_events') }}
    where {{ unread('event_row_id', 'event_key', 'event_row_id || duplicate_row_ids') }}

),

timed as (

    select
        *,

        {{ plausible_time('coalesce(sent_occurred_at, received_at)', 'received_at') }} as occurred_at,

        case
            when sent_occurred_at is null then 'receipt'
            when sent_occurred_at <> {{ plausible_time('sent_occurred_at', 'received_at') }} then 'clamped'
            else 'client'
        end as occurred_at_source,

        case
            when event_type is null then 'event_type_invalid'
            when has_user_id and user_id is null then 'user_id_invalid'
            when user_id is null and anonymous_id is null then 'user_missing'
            when activity is null then 'activity_invalid'
            when has_occurred_at and sent_occurred_at is null then 'occurred_at_invalid'
        end as rejection_code

    from unread

),

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

    from {{ this }}

    where
        event_key in (
            select unread.event_key from unread
            union all
            select unread.voids_event_key from unread
            union all
            select staged.voids_event_key from {{ this }} as staged
            where staged.event_key in (select unread.event_key from unread)
        )
    {% endif %}

),

-- The survivor is the smallest (received_at, row id) of all copies, whichever was read first.
ranked as (

    select
        *,

        row_number() over (partition by event_key order by received_at, event_row_id) as copy_number,
        count(*) over (partition by event_key) as copy_count

    from copies

),

survivors as (

    select * from ranked
    where copy_number = 1

),

collapsed as (

    select
        ranked.event_key,

        array_agg(copied.row_id order by copied.row_id)
        filter (where copied.row_id <> survivors.event_row_id) as duplicate_row_ids,

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

    where ranked.copy_count > 1

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
            unnest(other_anonymous_ids || anonymous_id) as anonymous_id

        from ranked

        where copy_count > 1
    ) as ids

    group by 1

),

final as (

    select
        {{ columns }},
        coalesce(collapsed.duplicate_row_ids, survivors.duplicate_row_ids) as duplicate_row_ids,
        coalesce(array_remove(named.user_ids, null), survivors.other_user_ids) as other_user_ids,
        coalesce(array_remove(named.anonymous_ids, null), survivors.other_anonymous_ids) as other_anonymous_ids,
        coalesce(collapsed.has_conflict, survivors.has_conflict) as has_conflict,
        {{ build_id() }} as build_id

    from survivors

    left join collapsed using (event_key)

    left join named using (event_key)

)

select * from final
