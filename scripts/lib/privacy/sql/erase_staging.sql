-- Erases them in the staging tables of a target. What is left of others counts as changed, and so
-- does what an erased event said of; what no longer counts is noted for those who count.
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
        coalesce(array_agg(id) filter (where kind = 'anonymous'), '{{}}') as anonymous_ids
    from people

),

visitors as materialized (

    select distinct unnest(staged_events.anonymous_ids) as anonymous_id
    from staged_events
    where staged_events.is_theirs

),

erased_events as (

    delete from {staging}.stg_events as staged
    using staged_events
    where staged_events.is_theirs and staged.event_key = staged_events.event_key
    returning staged.source, staged.received_at, staged.rejection_code

),

notes as (

    insert into {staging}.changed_rows (model_name, build_id, row_values, change)
    select
        {mark},
        {build_id},
        jsonb_build_object('source', source, 'received_at', received_at, 'rejection_code', rejection_code),
        -count(*)
    from erased_events
    group by source, received_at, rejection_code

),

cleaned_events as (

    update {staging}.stg_events as staged
    set
        activity = pg_temp.without_mentions(staged.activity::text)::jsonb,
        anonymous_id = case
            when staged.anonymous_id <> all((select lists.anonymous_ids from lists)::text[]) then staged.anonymous_id
        end,
        other_anonymous_ids = array(
            select other.id from unnest(staged.other_anonymous_ids) as other (id)
            where other.id <> all((select lists.anonymous_ids from lists)::text[])
        ),
        build_id = {build_id}
    from staged_events
    where not staged_events.is_theirs and staged.event_key = staged_events.event_key
    returning 1

),

-- What an erased event had voided, and whose visitors one may have tied to somebody.
touched_events as (

    update {staging}.stg_events as staged
    set build_id = {build_id}
    where
        (
            staged.event_key in (
                select marked.voids_event_key from staged_events as marked
                where marked.is_theirs
            )
            or staged.anonymous_id in (select visitors.anonymous_id from visitors)
            or (
                staged.aliased_ids || staged.other_anonymous_ids <> '{{}}'
                and staged.aliased_ids || staged.other_anonymous_ids
                && (select array_agg(visitors.anonymous_id) from visitors)
            )
        )
        and not exists (
            select from staged_events as marked
            where staged.event_key = marked.event_key
        )

),

erased_users as (

    delete from {staging}.stg_users as staged
    where
        staged.user_id in (select people.id from people where people.kind = 'user')
        and not exists (
            select from raw.users as landed
            where landed.user_row_id = staged.user_row_id and landed.received_at = staged.received_at
        )
    returning 1

),

cleaned_users as (

    update {staging}.stg_users as staged
    set other_user_ids = array(
        select other.id from unnest(staged.other_user_ids) as other (id)
        where other.id <> all((select lists.user_ids from lists)::text[])
    )
    where
        staged.user_id not in (select people.id from people where people.kind = 'user')
        and staged.other_user_ids && (select lists.user_ids from lists)

)

select {name} || '.stg_events' as table_name, count(*) as row_count from erased_events
union all
select {name} || '.stg_events of others that mention them', count(*) from cleaned_events
union all
select {name} || '.stg_users', count(*) from erased_users
