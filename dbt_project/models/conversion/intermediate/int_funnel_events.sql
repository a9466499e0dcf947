{{
    config(
        unique_key='user_id',
        meta={'changes': 'int_users__changed'},
        indexes=[{'columns': ['user_id', 'funnel', 'position', 'step_order']}]
    )
}}

with

events as (

    select * from {{ ref('int_events') }}
    where {{ is_of_changed_user() }}

),

funnels as (

    select * from {{ ref('funnels') }}

),

final as (

    select
        events.user_id,
        funnels.funnel,
        funnels.step_order,
        funnels.outcome,
        events.event_key,
        events.source,
        events.occurred_at,

        -- Events at the same instant keep the order of their arrival.
        dense_rank() over (
            partition by events.user_id, funnels.funnel
            order by events.occurred_at, events.received_at, events.event_row_id
        ) as position

    from events

    inner join funnels
        on
            events.event_type = funnels.event_type
            and (
                funnels.property is null
                or {{ is_value('(events.activity -> funnels.property)', 'funnels.property_value') }}
            )

)

select * from final
