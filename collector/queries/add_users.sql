-- Updates of different users. One that is sent again adds nothing, where it says when it happened.
insert into raw.users (received_at, occurred_at, source, key_id, user_id, payload)
select
    %(received_at)s,
    given.occurred_at,
    %(source)s,
    %(key_id)s,
    given.user_id,
    given.payload::jsonb
from
    unnest(%(user_ids)s::text[], %(occurred_at)s::timestamptz[], %(payloads)s::text[])
    with ordinality as given (user_id, occurred_at, payload, position)
where not exists (
    select from raw.users
    where
        users.user_id = given.user_id
        and users.occurred_at = given.occurred_at
        and users.source = %(source)s
        and users.payload - 'segmentSentAt' = given.payload::jsonb - 'segmentSentAt'
)
order by given.position
