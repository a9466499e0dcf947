-- What is known by one more step of whom `named_people` names, in the database where dbt builds: who
-- an anonymous id is, by int_identities, by aliases among visitors whom nobody has named, and by what
-- no build has read yet.
with

people as (

    select
        kind,
        id
    from people_in_marts

),

links as (

    select anonymous_id, user_id from {intermediate}.int_identities
    where user_id is not null

    union

    select
        pg_temp.id_text(unread.payload -> 'anonymousId') as anonymous_id,
        secret.user_id_in_marts(pg_temp.id_text(unread.payload -> 'userId')) as user_id
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

    -- Who is known by the hash of an email alone is in raw by the email.
    select 'user' as kind, landed.user_id as id
    from (
        select pg_temp.id_text(payload -> 'userId') as user_id from raw.events
        union all
        select user_id from raw.users
    ) as landed
    inner join people on people.kind = 'user' and secret.user_id_in_marts(landed.user_id) = people.id
    where
        exists (select from people as hashed where hashed.kind = 'user' and hashed.id like 'email:%')
        and strpos(landed.user_id, '@') > 0

    union

    select 'user' as kind, staged.user_id as id from {staging}.stg_events as staged
    inner join people on people.kind = 'email' and lower(btrim(staged.user_id)) = people.id

)

select
    kind,
    case when kind = 'user' and ltrim(id, '~') like 'anonymous:%' then substr(id, 2) else id end as id
from found
