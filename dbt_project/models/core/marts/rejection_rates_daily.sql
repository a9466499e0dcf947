with

refused as (

    select * from {{ ref('rejection_reasons_daily') }}

),

staged as (

    select * from {{ ref('int_receipts_daily') }}

),

opted_out as (

    select * from {{ ref('int_events__opted_out') }}

),

test_sources as (

    select source from {{ ref('sources') }}
    where is_test

),

counts as (

    select
        source,
        day,
        0 as events_accepted,
        events_rejected

    from refused

    union all

    select
        source,
        day,
        event_count as events_accepted,
        0 as events_rejected

    from staged

    where
        result = 'accepted'
        and source not in (select test_sources.source from test_sources)

    union all

    -- Accepted they were, and are counted among what is not in the marts.
    select
        source,
        {{ report_date('received_at') }} as day,
        -1 as events_accepted,
        0 as events_rejected

    from opted_out

),

totals as (

    select
        source,
        day,
        sum(events_accepted)::bigint as events_accepted,
        sum(events_rejected)::bigint as events_rejected

    from counts

    group by 1, 2

),

final as (

    select
        {{ surrogate_key(['source', 'day']) }} as receipt_key,
        source,
        day,
        events_accepted,
        events_rejected,
        {{ rate('events_rejected', 'events_accepted + events_rejected') }} as rejection_rate

    from totals

)

select * from final
