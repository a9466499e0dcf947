{{ config(materialized='view') }}

with

attributes as (

    select * from {{ ref('fct_event_attributes') }}

),

final as (

    select
        event_type,
        property,
        occurred_on,

        count(*) filter (where violation = 'missing') as events_missing,
        count(*) filter (where violation = 'wrong_type') as events_wrong_type,
        count(*) as events_checked

    from attributes

    group by 1, 2, 3

    having count(violation) > 0

)

select * from final
