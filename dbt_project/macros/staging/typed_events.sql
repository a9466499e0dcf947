{#-
    The first idea of `stg_events`: rows of `base_events` with what they mean. Whose they are, when
    they happened, and why they cannot be used. The limits keep each value computed once a row and
    not at every use.
-#}
{% macro typed_events(unread) -%}
    select
        unread.*,
        ids.user_id,
        ids.anonymous_id,
        ids.aliased_ids,

        {{ plausible_time('coalesce(clock.client_occurred_at, unread.received_at)', 'unread.received_at') }}
            as occurred_at,
        case
            when clock.client_occurred_at is null then 'receipt'
            when clock.client_occurred_at <> {{ plausible_time('clock.client_occurred_at', 'unread.received_at') }}
                then 'clamped'
            when clock.client_occurred_at <> unread.sent_occurred_at then 'corrected'
            else 'client'
        end as occurred_at_source,
        case
            when unread.is_opted_out then 'opted_out'
            when unread.event_type is null then 'event_type_invalid'
            when unread.has_user_id and unread.sent_user_id is null then 'user_id_invalid'
            when coalesce(unread.sent_user_id, unread.sent_anonymous_id) is null then 'user_missing'
            when coalesce(ids.user_id, ids.anonymous_id) is null then 'user_illegal'
            when unread.activity is null then 'activity_invalid'
            when unread.has_occurred_at and unread.sent_occurred_at is null then 'occurred_at_invalid'
        end as rejection_code

    from {{ unread }} as unread

    -- Ids that mean nobody name nobody: what has no other is refused.
    cross join lateral (
        select {{ legal_id('unread.sent_user_id') }} as user_id
        limit 1
    ) as legal

    cross join lateral (
        select
            {{ id_in_marts('legal.user_id') }} as user_id,
            {{ legal_id('unread.sent_anonymous_id') }} as anonymous_id,
            {{ legal_ids('unread.sent_aliased_ids', legal_id('unread.sent_anonymous_id')) }} as aliased_ids
        limit 1
    ) as ids

    cross join lateral (
        select
            {{ skew_corrected_time('unread.sent_occurred_at', 'unread.segment_sent_at', 'unread.received_at') }}
                as client_occurred_at
        limit 1
    ) as clock
{%- endmacro %}
