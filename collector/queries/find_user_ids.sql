-- The users that have one of the ids or emails, locked in one order.
select user_id, email
from raw.user_ids
where user_id = any(%(user_ids)s) or email = any(%(emails)s)
order by user_number
for update
