with

violations as (

    select * from {{ ref('tracking_plan_violations') }}

),

final as (

    select
        event_type,
        property,
        occurred_on as day,
        events_missing,
        events_wrong_type,
        events_checked

    from violations

)

select * from final
