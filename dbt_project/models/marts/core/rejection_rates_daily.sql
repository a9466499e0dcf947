with

refused as (

    select * from {{ ref('stg_rejected_events') }}

),

staged as (

    select * from {{ ref('int_receipts_daily') }}

),

refused_daily as (

    select
        source,
        {{ report_date('received_at') }} as day,
        rejection_code,
        count(*) as events_rejected

    from refused

    group by 1, 2, 3

    union all

    select
        source,
        day,
        rejection_code,
        event_count as events_rejected

    from staged

    where
        rejection_code is not null
        and event_count > 0

),

accepted_daily as (

    select
        source,
        day,
        event_count as events_accepted

    from staged

    where rejection_code is null

),

reasons as (

    select
        source,
        day,
        rejection_code,
        sum(events_rejected)::bigint as events_rejected

    from refused_daily

    group by 1, 2, 3

),

totals as (

    select
        reasons.*,
        coalesce(accepted_daily.events_accepted, 0) as events_accepted,
        sum(reasons.events_rejected) over (partition by reasons.source, reasons.day) as events_rejected_in_all

    from reasons

    left join accepted_daily
        on reasons.source = accepted_daily.source and reasons.day = accepted_daily.day

),

final as (

    select
        {{ surrogate_key(['source', 'day', 'rejection_code']) }} as rejection_key,
        source,
        day,
        rejection_code,
        events_rejected,
        events_accepted,
        round(events_rejected / (events_rejected_in_all + events_accepted), 6) as rejection_rate

    from totals

)

select * from final
