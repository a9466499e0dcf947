-- Which events of staging are theirs, and which of others mention them: those noted in raw, and those
-- that raw no longer has.
create temporary table staged_events on commit drop as
with

people as materialized (

    select
        kind,
        id
    from people_in_marts

),

lists as materialized (

    select
        coalesce(array_agg(id) filter (where kind = 'user'), '{{}}') as user_ids,
        coalesce(array_agg(id) filter (where kind = 'anonymous'), '{{}}') as anonymous_ids,
        coalesce(array_agg(id) filter (where kind <> 'email'), '{{}}') as ids
    from people

),

noted as materialized (

    select
        source,
        event_id,
        bool_or(is_theirs) as is_theirs
    from secret.erasing_rows
    where erasure_id = {erasure_id} and table_name = 'events'
    group by 1, 2

),

mentions as materialized (

    select distinct staged.event_key
    from {staging}.stg_events as staged
    cross join pg_temp.texts(staged.activity::text) as texts
    inner join named_people on texts.found = named_people.needle

),

judged as (

    select
        staged.event_key,
        staged.event_row_id,
        staged.source,
        staged.event_id,
        staged.voids_event_key,
        array_remove(staged.other_user_ids || staged.user_id, null) as user_ids,
        array_remove(
            staged.other_anonymous_ids || staged.anonymous_id || staged.aliased_ids, null
        ) as anonymous_ids,
        noted.event_id is not null as is_noted,
        coalesce(noted.is_theirs, false)
        or coalesce(staged.user_id in (select people.id from people where people.kind = 'user'), false)
        or coalesce(lower(btrim(staged.user_id)) in (select people.id from people where people.kind = 'email'), false)
        or (
            staged.user_id is null
            and coalesce(staged.anonymous_id in (select people.id from people where people.kind = 'anonymous'), false)
        )
        or (staged.aliased_ids <> '{{}}' and staged.aliased_ids && (select lists.ids from lists))
        or (staged.other_user_ids <> '{{}}' and staged.other_user_ids && (select lists.user_ids from lists)) as is_theirs,
        coalesce(staged.anonymous_id in (select people.id from people where people.kind = 'anonymous'), false)
        or (
            staged.other_anonymous_ids <> '{{}}'
            and staged.other_anonymous_ids && (select lists.anonymous_ids from lists)
        )
        or mentions.event_key is not null as is_mention
    from {staging}.stg_events as staged
    left join mentions on staged.event_key = mentions.event_key
    left join noted on staged.source = noted.source and staged.event_id = noted.event_id

)

-- What came after the erasure had begun is another person's: raw still has it.
select
    event_key,
    voids_event_key,
    user_ids,
    anonymous_ids,
    is_theirs
from judged
where
    (is_theirs or is_mention)
    and (
        is_noted
        or not exists (
            select from raw.events as landed
            where
                landed.event_row_id = judged.event_row_id
                and landed.source = judged.source
                and landed.event_id = judged.event_id
        )
    )
