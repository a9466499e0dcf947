-- Whether a user id that is an email address reaches staging and marts as a keyed hash only. So it
-- does where nothing has been collected yet; an installation that has ids in its marts keeps them,
-- until its owner sets the column.
alter table secret.email_hash_key add column hashes_user_ids boolean not null default true;
update secret.email_hash_key set hashes_user_ids = not exists (select from raw.events)
    and not exists (select from raw.users);

comment on column secret.email_hash_key.hashes_user_ids is
    'Whether user ids that are email addresses are keyed hashes in staging and marts.';

-- A user's id as the marts have it: an email as `email:` and its hash, the same as email_hash; what
-- could be taken for a visitor's id or for such a hash with a ~ before it; all others as they are.
create function secret.user_id_in_marts(user_id text) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
    select case
        when keys.hashes_user_ids and user_id ~ '^\s*[^@\s]+@[^@\s]+[.][^@\s]+\s*$'
            then 'email:' || encode(sha256(keys.outer_pad || sha256(
                keys.inner_pad || convert_to(lower(btrim(user_id, E' \t\n\x0b\f\r')), 'UTF8')
            )), 'hex')
        when user_id ~ '^~*(anonymous:|email:[0-9a-f]{64}$)' then '~' || user_id
        else user_id
    end
    from secret.email_hash_key as keys
$$;
