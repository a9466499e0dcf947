{{
    config(
        incremental_strategy='counts',
        unique_key=['band', 'day'],
        meta={'changes_of': 'int_credit_days'},
        indexes=[{'columns': ['band', 'day'], 'unique': true}]
    )
}}

with

changes as (

    select * from {{ changes_of('int_credit_days') }}

),

final as (

    select
        band,
        day,
        sum(change * users_entered)::bigint as users_entered,
        sum(change * users_left)::bigint as users_left,
        sum(change * conversions)::bigint as conversions,
        sum(change * payments_made)::bigint as payments_made,
        sum(change * payments_missed)::bigint as payments_missed

    from changes

    group by 1, 2

)

select * from final
