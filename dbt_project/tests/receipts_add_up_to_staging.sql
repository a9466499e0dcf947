-- Every staged event is counted on its day of receipt, however many builds ago that was.
with

counted as (

    select * from {{ ref('int_receipts_daily') }}

),

staged as (

    select
        source,
        {{ report_date('received_at') }} as day,
        coalesce(rejection_code, 'accepted') as result,
        count(*) as event_count

    from {{ ref('stg_events') }}

    group by 1, 2, 3

)

select
    source,
    day,
    result,
    counted.event_count as events_counted,
    staged.event_count as events_staged

from counted

full join staged using (source, day, result)

where counted.event_count is distinct from staged.event_count
