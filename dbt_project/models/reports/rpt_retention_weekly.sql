with

weeks as (

    select * from {{ ref('retention_weekly') }}
    where is_complete

),

final as (

    select
        cohort_week as day,
        weeks_since,
        cohort_users,
        users_active,
        retention_rate

    from weeks

)

select * from final
