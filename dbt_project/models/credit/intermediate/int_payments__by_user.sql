{{
    config(
        unique_key='user_id',
        meta={'changes': 'int_users__changed'},
        indexes=[{'columns': ['user_id'], 'unique': true}]
    )
}}

with

payments as (

    select * from {{ ref('int_events') }}
    where
        event_type in ('payment_made', 'payment_missed', 'payment_not_due')
        and {{ is_of_changed_user() }}

),

final as (

    select
        user_id,

        count(*) filter (where event_type = 'payment_made') as payments_made,
        count(*) filter (where event_type = 'payment_missed') as payments_missed,
        count(*) filter (where event_type = 'payment_not_due') as payments_not_due,
        max(occurred_at) filter (where event_type = 'payment_made') as last_payment_at,
        max(occurred_at) filter (where event_type = 'payment_missed') as last_missed_at

    from payments

    group by 1

)

select * from final
