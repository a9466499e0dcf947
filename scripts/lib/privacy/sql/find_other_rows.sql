-- The same for updates of users, and for what was refused: there a text that may be cut off or no
-- JSON. Of the refused an equal text for equal ones is noted, which says nothing: refusals are counted
-- by what is different.
with

salt as materialized (

    select gen_random_uuid()::text as random

),

refused as (

    select
        rejected_row_id,
        source,
        payload,
        coalesce(user_ids.found[1], regexp_replace(user_ids.found[2], '\.0+$', '')) as user_id,
        anonymous_ids.found[1] as anonymous_id

    from raw.rejected_events

    left join lateral regexp_match(payload, '"userId"\s*:\s*(?:"((?:[^"\\]|\\.)*)"|(-?[0-9.]+))') as user_ids (found) on true

    left join lateral regexp_match(payload, '"anonymousId"\s*:\s*"((?:[^"\\]|\\.)*)"') as anonymous_ids (found) on true

)

insert into secret.erasing_rows (erasure_id, table_name, row_id, source, event_id, is_theirs)
select
    %(erasure_id)s,
    'users',
    users.user_row_id,
    users.source,
    null,
    users.user_id in (select people.id from named_people as people where people.kind = 'user')
from raw.users as users
where
    users.user_id in (select people.id from named_people as people where people.kind = 'user')
    or exists (
        select from pg_temp.texts(users.payload::text) as texts
        inner join named_people as people on texts.found = people.needle
    )
union all
select
    %(erasure_id)s,
    'rejected_events',
    refused.rejected_row_id,
    refused.source,
    'erased ' || md5(salt.random || refused.payload),
    true
from refused
cross join salt
where
    refused.payload not like 'erased %%'
    and (
        refused.user_id in (select people.id from named_people as people where people.kind = 'user')
        or refused.anonymous_id in (select people.id from named_people as people where people.kind = 'anonymous')
        or exists (
            select from pg_temp.texts(refused.payload) as texts
            inner join named_people as people on texts.found = people.needle
        )
    )
on conflict do nothing;
