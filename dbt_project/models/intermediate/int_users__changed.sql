{{
    config(
        unique_key='user_id',
        indexes=[{'columns': ['user_id'], 'unique': true}, {'columns': ['build_id']}]
    )
}}

with

events as (

    select * from {{ ref('stg_events') }}
    where build_id > {{ low_mark() }}

),

user_updates as (

    select * from {{ ref('stg_users') }}
    where build_id > {{ low_mark() }}

),

changed as (

    select user_id from events
    where user_id is not null

    union

    select user_id from user_updates

),

final as (

    select
        user_id,
        {{ build_id() }} as build_id

    from changed

)

select * from final
