-- fct_events holds the events that staging neither rejects, nor voids, nor has from a test source, and
-- whose person had not opted out.
-- Written from stg_events, not from the view that the model reads.
with

staged as (

    select * from {{ ref('stg_events') }}

),

voids as (

    select voids_event_key as event_key from {{ ref('stg_events') }}
    where
        voids_event_key is not null
        and rejection_code is null

),

test_sources as (

    select source from {{ ref('sources') }}
    where is_test

),

identities as (

    select * from {{ ref('int_identities') }}

),

opt_outs as (

    select * from {{ ref('int_opt_outs') }}

),

expected as (

    select staged.event_key

    from staged

    left join identities on staged.anonymous_id = identities.anonymous_id

    left join opt_outs
        on
            coalesce(staged.user_id, identities.user_id, {{ anonymous_user_id('staged.anonymous_id') }})
            = opt_outs.user_id
            and staged.received_at >= opt_outs.opted_out_at
            and staged.received_at < opt_outs.opted_in_at

    where
        opt_outs.user_id is null
        and staged.rejection_code is null
        and staged.event_type <> 'event_voided'
        and staged.event_key not in (select voids.event_key from voids)
        and staged.source not in (select test_sources.source from test_sources)

),

events as (

    select * from {{ ref('fct_events') }}

)

select event_key

from expected

full join events using (event_key)

where
    expected.event_key is null
    or events.event_key is null
