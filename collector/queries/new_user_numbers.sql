-- Ids for users without one of their own, which no client gave to one of its users; maybe fewer.
select numbers.number::text
from (
    select nextval('raw.user_id_seq') as number from generate_series(1, %(count)s)
) as numbers
where not exists (select from raw.user_ids where user_ids.user_id = numbers.number::text)
