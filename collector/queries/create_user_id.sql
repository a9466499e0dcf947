-- A user without an id of its own gets the next number that no client gave to one of its users.
-- Adds and returns nothing where the email or, by a race, the id is taken.
with recursive

candidates as (

    select nextval('raw.user_id_seq') as number where %(user_id)s::text is null

    union all

    select nextval('raw.user_id_seq') as number
    from candidates
    where exists (select from raw.user_ids where user_ids.user_id = candidates.number::text)

)

insert into raw.user_ids (user_id, email)
select
    coalesce(%(user_id)s::text, max(number)::text),
    %(email)s
from candidates
on conflict do nothing
returning user_id
