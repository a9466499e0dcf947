{{
    config(
        incremental_strategy='counts',
        unique_key=['source', 'day', 'result'],
        meta={'changes_of': 'stg_events'},
        indexes=[{'columns': ['source', 'day', 'result'], 'unique': true}]
    )
}}

with

changes as (

    select * from {{ changes_of('stg_events') }}

),

final as (

    select
        source,
        {{ report_date('received_at') }} as day,
        coalesce(rejection_code, 'accepted') as result,
        sum(change)::bigint as event_count

    from changes

    group by 1, 2, 3

)

select * from final
