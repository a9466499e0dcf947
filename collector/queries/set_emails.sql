-- Gives users the emails that nobody else has. Each of them is written, whoever has the address: the
-- same work, the same time.
update raw.user_ids set
    email = case
        when exists (
            select from raw.user_ids as others
            where others.email = given.email and others.user_id <> given.user_id
        ) then user_ids.email
        else given.email
    end
from unnest(%(user_ids)s::text[], %(emails)s::text[]) as given (user_id, email)
where user_ids.user_id = given.user_id
