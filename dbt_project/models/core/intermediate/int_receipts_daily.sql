{{
    config(
        unique_key='day',
        meta={'changes_of': 'stg_events', 'keeps_emptied': true},
        indexes=[{'columns': ['day']}]
    )
}}

with

changes as (

    select
        source,
        {{ report_date('received_at') }} as day,
        rejection_code,
        change

    from {{ changes_of('stg_events') }}

),

counts as (

    select
        source,
        day,
        rejection_code,
        change as event_count

    from changes
    {%- if continues() %}

    union all

    select
        source,
        day,
        rejection_code,
        event_count

    from {{ this }}

    where day in (select changes.day from changes)
    {%- endif %}

),

final as (

    select
        source,
        day,
        rejection_code,
        sum(event_count)::bigint as event_count

    from counts

    group by 1, 2, 3

)

select * from final
