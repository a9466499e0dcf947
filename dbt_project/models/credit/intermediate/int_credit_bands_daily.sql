{{
    config(
        unique_key='day',
        meta={'changes_of': 'int_credit_days'},
        indexes=[{'columns': ['day']}]
    )
}}

with

changes as (

    select * from {{ changes_of('int_credit_days') }}

),

counts as (

    select
        band,
        day,
        change * users_entered as users_entered,
        change * users_left as users_left,
        change * conversions as conversions,
        change * payments_made as payments_made,
        change * payments_missed as payments_missed

    from changes
    {%- if continues() %}

    union all

    select
        band,
        day,
        users_entered,
        users_left,
        conversions,
        payments_made,
        payments_missed

    from {{ this }}

    where day in (select changes.day from changes)
    {%- endif %}

),

final as (

    select
        band,
        day,
        sum(users_entered)::bigint as users_entered,
        sum(users_left)::bigint as users_left,
        sum(conversions)::bigint as conversions,
        sum(payments_made)::bigint as payments_made,
        sum(payments_missed)::bigint as payments_missed

    from counts

    group by 1, 2

    -- A day on which nothing happened any more has no row.
    having sum(users_entered + users_left + conversions + payments_made + payments_missed) > 0

)

select * from final
