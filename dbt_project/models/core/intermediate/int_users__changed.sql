{{
    config(
        unique_key='user_id',
        indexes=[{'columns': ['user_id'], 'unique': true}, {'columns': ['build_id']}]
    )
}}

with

events as (

    select
        user_id,
        anonymous_id,
        other_user_ids,
        other_anonymous_ids

    from {{ ref('stg_events') }}

    where {{ has_changed() }}

),

user_updates as (

    select * from {{ ref('stg_users') }}
    where {{ has_changed() }}

),

identities as (

    select * from {{ ref('int_identities') }}

),

changed_identities as (

    select * from identities
    where {{ has_changed() }}

),

changed_opt_outs as (

    select * from {{ ref('int_opt_outs__changed') }}
    where {{ has_changed() }}

),

changed as (

    select user_id from events
    where user_id is not null

    union

    -- A copy that lost its place to another named somebody else.
    select unnest(other_user_ids) as user_id from events

    union

    select {{ anonymous_user_id('other.anonymous_id') }} as user_id from events
    cross join unnest(events.other_anonymous_ids) as other (anonymous_id)

    union

    select {{ anonymous_user_id('anonymous_id') }} as user_id from events
    where user_id is null and anonymous_id is not null

    union

    select identities.user_id from events

    inner join identities on events.anonymous_id = identities.anonymous_id

    where events.user_id is null and identities.user_id is not null

    union

    select unnest(seen_user_ids || array[{{ anonymous_user_id('anonymous_id') }}]) as user_id from changed_identities

    union

    select user_id from user_updates

    union

    select unnest(other_user_ids) as user_id from user_updates

    union

    select user_id from changed_opt_outs

),

final as (

    select
        user_id,
        {{ build_id() }} as build_id

    from changed

)

select * from final
