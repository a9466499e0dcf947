{{ config(materialized='view') }}

-- Each CTE is read once, so that PostgreSQL takes it into the query and finds rows by index.
with

user_updates as (

    select * from {{ ref('stg_users') }}

),

sources as (

    select * from {{ ref('sources') }}

),

final as (

    select user_updates.*

    from user_updates

    left join sources on user_updates.source = sources.source

    where not coalesce(sources.is_test, false)

)

select * from final
