-- What is known by one more step of whom `named_people` names, in the database where dbt builds: who
-- an anonymous id is, by int_identities, by aliases among visitors whom nobody has named, and by what
-- no build has read yet.
with

people as (

    select
        kind,
        case when kind = 'user' and ltrim(id, '~') like 'anonymous:%' then '~' else '' end || id as id
    from named_people

),

links as (

    select anonymous_id, user_id from {intermediate}.int_identities
    where user_id is not null

    union

    select
        pg_temp.id_text(unread.payload -> 'anonymousId') as anonymous_id,
        pg_temp.id_text(unread.payload -> 'userId') as user_id
    from raw.events as unread
    where
        unread.loaded_xid >= coalesce(
            (select marks.read_below_xid from {staging}.watermarks as marks where marks.model_name = {mark}), '0'
        )
        and lower(btrim(pg_temp.id_text(unread.payload -> 'userId'))) <> all({illegal_ids}::text[])
        and lower(btrim(pg_temp.id_text(unread.payload -> 'anonymousId'))) <> all({illegal_ids}::text[])
        and not exists (
            select from {intermediate}.int_identities as identities
            where
                identities.anonymous_id = pg_temp.id_text(unread.payload -> 'anonymousId')
                and identities.user_id is not null
        )

),

found as (

    select 'anonymous' as kind, links.anonymous_id as id from links
    inner join people on people.kind = 'user' and links.user_id = people.id

    union

    select 'user' as kind, links.user_id as id from links
    inner join people on people.kind = 'anonymous' and links.anonymous_id = people.id

    union

    select 'anonymous' as kind, tied.anonymous_id as id from {intermediate}.int_aliases as aliases
    inner join people on people.kind = 'anonymous' and aliases.anonymous_id = people.id
    inner join {intermediate}.int_aliases as tied on aliases.event_key = tied.event_key
    where not exists (
        select from links
        where links.anonymous_id in (aliases.anonymous_id, tied.anonymous_id)
    )

    union

    select 'user' as kind, staged.user_id as id from {staging}.stg_events as staged
    inner join people on people.kind = 'email' and lower(btrim(staged.user_id)) = people.id

)

select
    kind,
    case when kind = 'user' and ltrim(id, '~') like 'anonymous:%' then substr(id, 2) else id end as id
from found
