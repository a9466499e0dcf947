-- The models by user look for what is left of them, and find nothing; of others whose alias went with
-- theirs, less.
insert into {intermediate}.int_users__changed (user_id, build_id)
select
    case
        when kind = 'anonymous' then 'anonymous:' || id
        else id
    end as user_id,
    {build_id}
from people_in_marts
where kind <> 'email'

union

select named.user_id, {build_id}
from staged_events
cross join unnest(staged_events.user_ids) as named (user_id)
where staged_events.is_theirs

on conflict (user_id) do update set build_id = excluded.build_id
