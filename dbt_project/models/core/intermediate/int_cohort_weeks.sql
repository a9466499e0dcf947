{{
    config(
        incremental_strategy='counts',
        unique_key=['cohort_week', 'active_week'],
        meta={'changes_of': 'int_user_weeks'},
        indexes=[{'columns': ['cohort_week', 'active_week'], 'unique': true}]
    )
}}

with

changes as (

    select * from {{ changes_of('int_user_weeks') }}

),

final as (

    select
        cohort_week,
        active_week,
        sum(change)::bigint as users_active

    from changes

    group by 1, 2

)

select * from final
