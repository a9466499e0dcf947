with

events as (

    select * from {{ ref('fct_events') }}

),

final as (

    select
        source,
        event_subject,
        occurred_on as day,
        count(*) as events,
        max(received_at) as last_received_at

    from events

    group by 1, 2, 3

)

select * from final
