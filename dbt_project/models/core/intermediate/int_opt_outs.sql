{{ config(materialized='view') }}

with

opt_outs as (

    select * from {{ ref('stg_opt_outs') }}

),

identities as (

    select * from {{ ref('int_identities') }}

),

periods as (

    select
        *,

        lead(changed_at, 1, 'infinity') over (
            partition by id_kind, id
            order by changed_at, opt_out_row_id
        ) as next_changed_at

    from opt_outs

),

final as (

    select
        periods.opt_out_row_id,
        {{ opted_out_person('periods', 'identities') }} as user_id,
        periods.changed_at as opted_out_at,
        periods.next_changed_at as opted_in_at

    from periods

    left join identities
        on
            periods.id_kind = 'anonymous'
            and periods.id = identities.anonymous_id

    where
        periods.is_out
        and periods.changed_at < periods.next_changed_at

)

select * from final
