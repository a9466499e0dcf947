-- What the source knows of whom `named_people` names: ids and emails of users. An email that is
-- somebody else's by now is no longer theirs.
select 'user' as kind, user_ids.user_id as id from raw.user_ids
inner join named_people as people
    on people.kind = 'email' and people.id in (user_ids.email, lower(btrim(user_ids.user_id)))

union

select 'email' as kind, user_ids.email as id from raw.user_ids
inner join named_people as people on people.kind = 'user' and user_ids.user_id = people.id
where user_ids.email is not null

union

select 'email' as kind, sent.email as id from raw.users
inner join named_people as people on people.kind = 'user' and users.user_id = people.id
cross join lateral lower(btrim(users.payload ->> 'email', E' \t\n\x0b\f\r')) as sent (email)
where sent.email like '%_@_%' and not exists (
    select from raw.user_ids as owners
    where owners.email = sent.email and owners.user_id <> users.user_id
)

union

-- Who was known by the email before, where it is nobody's now.
select 'user' as kind, users.user_id as id from raw.users
inner join named_people as people
    on people.kind = 'email' and lower(btrim(users.payload ->> 'email', E' \t\n\x0b\f\r')) = people.id
where not exists (
    select from raw.user_ids as owners
    where owners.email = people.id and owners.user_id <> users.user_id
)
