-- Notes the rows of raw that are theirs, and those of others that mention them: one pass over each
-- table. An event is theirs with all of its copies, where any names them.
with

mentions as materialized (

    select distinct
        landed.event_row_id,
        landed.source

    from raw.events as landed

    cross join pg_temp.texts(landed.payload::text) as texts

    inner join named_people as people on texts.found = people.needle

),

events as materialized (

    select
        landed.event_row_id,
        landed.source,
        landed.event_id,
        pg_temp.id_text(payload -> 'userId') as user_id,
        pg_temp.id_text(payload -> 'anonymousId') as anonymous_id,
        case when payload ->> 'eventType' = 'user_aliased' then pg_temp.id_text(payload #> '{segment,anonymousId}') end as tied_id,
        case when payload ->> 'eventType' = 'user_aliased' then pg_temp.id_text(payload #> '{activity,previousId}') end as previous_id,
        mentions.event_row_id is not null as is_mention

    from raw.events as landed

    left join mentions on landed.event_row_id = mentions.event_row_id and landed.source = mentions.source

),

judged as (

    select
        event_row_id,
        source,
        event_id,
        is_mention or anonymous_id in (select people.id from named_people as people where people.kind = 'anonymous') as is_mention,
        coalesce(user_id in (select people.id from named_people as people where people.kind = 'user'), false)
        or coalesce(lower(btrim(user_id)) in (select people.id from named_people as people where people.kind = 'email'), false)
        or (
            (user_id is null or lower(btrim(user_id)) = any(%(illegal_ids)s::text[]))
            and coalesce(anonymous_id in (select people.id from named_people as people where people.kind = 'anonymous'), false)
        )
        or coalesce(tied_id in (select people.id from named_people as people where people.kind <> 'email'), false)
        or coalesce(previous_id in (select people.id from named_people as people where people.kind <> 'email'), false)
            as is_theirs

    from events

),

found as (

    select * from judged
    where is_theirs or is_mention

),

keys as (

    select distinct
        source,
        event_id

    from found

    where is_theirs

)

insert into secret.erasing_rows (erasure_id, table_name, row_id, source, event_id, is_theirs)
select %(erasure_id)s, 'events', raw_events.event_row_id, keys.source, keys.event_id, true
from raw.events as raw_events
inner join keys on raw_events.source = keys.source and raw_events.event_id = keys.event_id
union all
select %(erasure_id)s, 'events', found.event_row_id, found.source, found.event_id, false
from found
where not exists (
    select from keys
    where found.source = keys.source and found.event_id = keys.event_id
)
on conflict do nothing;
