-- Every staged event is counted on its day of receipt, however many builds ago that was.
with

counted as (

    select
        source,
        day,
        coalesce(rejection_code, '') as rejection_code,
        event_count

    from {{ ref('int_receipts_daily') }}

    where event_count > 0

),

staged as (

    select
        source,
        {{ report_date('received_at') }} as day,
        coalesce(rejection_code, '') as rejection_code,
        count(*) as event_count

    from {{ ref('stg_events') }}

    group by 1, 2, 3

)

select
    source,
    day,
    rejection_code,
    counted.event_count as events_counted,
    staged.event_count as events_staged

from counted

full join staged using (source, day, rejection_code)

where counted.event_count is distinct from staged.event_count
