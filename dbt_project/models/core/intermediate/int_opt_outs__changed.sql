{{ config(materialized='view') }}

with

opt_outs as (

    select * from {{ ref('stg_opt_outs') }}

),

identities as (

    select * from {{ ref('int_identities') }}

),

-- Of those who opted out by an anonymous id everybody whose it was.
changed_visitors as (

    select
        unnest(array_append(seen_user_ids, {{ anonymous_user_id('anonymous_id') }})) as user_id,
        build_id

    from identities

    where
        anonymous_id in (
            select opt_outs.id from opt_outs
            where opt_outs.id_kind = 'anonymous'
        )

),

changed as (

    select
        {{ opted_out_person('opt_outs', 'identities') }} as user_id,
        opt_outs.build_id

    from opt_outs

    left join identities
        on
            opt_outs.id_kind = 'anonymous'
            and opt_outs.id = identities.anonymous_id

    union all

    select
        user_id,
        build_id

    from changed_visitors

),

final as (

    select distinct
        user_id,
        build_id

    from changed

)

select * from final
