{{ config(materialized='view') }}

with

source as (

    select * from {{ source('raw', 'rejected_events') }}

),

final as (

    select
        rejected_row_id,
        source,
        code as rejection_code,
        received_at,
        md5(payload) as payload_hash

    from source

    where {{ has_landed() }}

)

select * from final
