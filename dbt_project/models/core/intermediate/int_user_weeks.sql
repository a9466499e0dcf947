{{
    config(
        unique_key='user_id',
        meta={'changes': 'int_users__changed', 'counted': ['cohort_week', 'active_week']},
        indexes=[{'columns': ['user_id']}]
    )
}}

with

interactions as (

    select * from {{ ref('int_events') }}
    where
        is_interaction
        and {{ is_of_changed_user() }}

),

active_weeks as (

    select distinct
        user_id,
        {{ report_week('occurred_on') }} as active_week

    from interactions

),

final as (

    select
        user_id,
        active_week,
        min(active_week) over (partition by user_id) as cohort_week

    from active_weeks

)

select * from final
