with

refused as (

    select * from {{ ref('stg_rejected_events') }}

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

-- A client that sends again what was refused sends the same bytes.
attempts as (

    select
        source,
        rejection_code,
        {{ report_date('received_at') }} as day,

        row_number() over (
            partition by source, payload_hash
            order by received_at, rejected_row_id
        ) as attempt

    from refused

),

reasons as (

    select
        source,
        day,
        rejection_code,
        count(*) filter (where attempt = 1) as events_rejected,
        count(*) as times_rejected

    from attempts

    group by 1, 2, 3

    union all

    select
        source,
        day,
        result as rejection_code,
        event_count as events_rejected,
        event_count as times_rejected

    from staged

    where result <> 'accepted'

    union all

    select
        source,
        {{ report_date('received_at') }} as day,
        'opted_out' as rejection_code,
        count(*) as events_rejected,
        count(*) as times_rejected

    from opted_out

    group by 1, 2

),

final as (

    select
        {{ surrogate_key(['source', 'day', 'rejection_code']) }} as rejection_key,
        source,
        day,
        rejection_code,
        sum(events_rejected)::bigint as events_rejected,
        sum(times_rejected)::bigint as times_rejected

    from reasons

    where source not in (select test_sources.source from test_sources)

    group by 2, 3, 4

)

select * from final
