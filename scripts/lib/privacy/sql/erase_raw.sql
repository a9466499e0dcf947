-- Erases the noted rows in this database, and counts them; one that is gone already is passed over.
with

noted as materialized (

    select * from secret.erasing_rows
    where erasure_id = %(erasure_id)s

),

erased_events as (

    delete from raw.events
    using noted
    where
        noted.table_name = 'events'
        and noted.is_theirs
        and events.event_row_id = noted.row_id
        and events.source = noted.source
        and events.event_id = noted.event_id
    returning 1

),

-- Of an event of somebody else, with one of their anonymous ids, the id alone is theirs.
cleaned_events as (

    update raw.events
    set payload =
        case
            when pg_temp.id_text(payload -> 'anonymousId') in (select people.id from named_people as people where people.kind = 'anonymous')
                then pg_temp.without_mentions(payload::text)::jsonb || '{"anonymousId": null}'
            else pg_temp.without_mentions(payload::text)::jsonb
        end
    from noted
    where
        noted.table_name = 'events'
        and not noted.is_theirs
        and events.event_row_id = noted.row_id
        and events.source = noted.source
        and events.event_id = noted.event_id
    returning 1

),

erased_users as (

    delete from raw.users
    using noted
    where
        noted.table_name = 'users'
        and noted.is_theirs
        and users.user_row_id = noted.row_id
        and users.user_id in (select people.id from named_people as people where people.kind = 'user')
    returning 1

),

cleaned_users as (

    update raw.users
    set payload = pg_temp.without_mentions(payload::text)::jsonb
    from noted
    where
        noted.table_name = 'users'
        and not noted.is_theirs
        and users.user_row_id = noted.row_id
    returning 1

),

erased_opt_outs as (

    delete from raw.opt_outs
    using named_people as people
    where opt_outs.id_kind = people.kind and opt_outs.id = people.id
    returning 1

),

blanked_rejected_events as (

    update raw.rejected_events
    set
        payload = noted.event_id,
        put_away_at = coalesce(rejected_events.put_away_at, rejected_events.resent_at, now())
    from noted
    where
        noted.table_name = 'rejected_events'
        and rejected_events.rejected_row_id = noted.row_id
        and rejected_events.source = noted.source
    returning 1

)

select 'raw.events' as table_name, count(*) as row_count from erased_events
union all
select 'raw.events of others that mention them', count(*) from cleaned_events
union all
select 'raw.users', count(*) from erased_users
union all
select 'raw.users of others that mention them', count(*) from cleaned_users
union all
select 'raw.opt_outs', count(*) from erased_opt_outs
union all
select 'raw.rejected_events', count(*) from blanked_rejected_events;
