{{ config(materialized='view') }}

with

events as (

    select * from {{ ref('stg_events') }}

),

final as (

    select
        event_key,
        event_row_id,
        event_id,
        source,
        event_type,
        rejection_code,
        received_at

    from events

    where rejection_code is not null

)

select * from final
