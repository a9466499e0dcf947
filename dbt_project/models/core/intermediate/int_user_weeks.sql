{{
    config(
        unique_key='user_id',
        meta={'changes': 'int_users__changed', 'counted': ['cohort_week', 'active_week']},
        indexes=[{'columns': ['user_id']}]
    )
}}

with

changed_users as not materialized (

    select * from {{ ref('int_users__changed') }}
    where build_id > {{ low_mark() }}

),

interactions as (

    select * from {{ ref('int_events') }}
    where
        is_interaction
        and user_id in (select changed_users.user_id from changed_users)

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
