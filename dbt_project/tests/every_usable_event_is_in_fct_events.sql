-- What staging holds and neither voids, rejections nor test sources explain stands in fct_events.
with

expected as (

    select staged.event_key

    from {{ ref('stg_events') }} as staged

    left join {{ ref('sources') }} as sources on staged.source = sources.source

    where
        staged.rejection_code is null
        and not exists (
            select 1 from {{ ref('stg_events') }} as voids
            where
                voids.voids_event_key = staged.event_key
                and voids.rejection_code is null
        )
        and staged.event_type <> 'event_voided'
        and not coalesce(sources.is_test, false)

)

select event_key

from expected

full join {{ ref('fct_events') }} as events using (event_key)

where
    expected.event_key is null
    or events.event_key is null
