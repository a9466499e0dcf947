-- New users; those taken meanwhile are left out.
insert into raw.user_ids (user_id, email)
select
    user_id,
    email
from
    unnest(%(user_ids)s::text[], %(emails)s::text[])
    with ordinality as given (user_id, email, position)
order by given.position
on conflict do nothing
