-- The key of the email hash stays in the database: in an environment variable it would end up in
-- dbt's manifest.json, which the docs site publishes.
create schema secret;

-- HMAC (RFC 2104) needs the key xored with two constants. Both are stored, so that
-- hmac(message) is sha256(outer_pad || sha256(inner_pad || message)), built-in functions only.
create table secret.email_hash_key (
    only_row boolean primary key default true check (only_row),
    inner_pad bytea not null check (length(inner_pad) = 64),
    outer_pad bytea not null check (length(outer_pad) = 64)
);

create function secret.hmac_pad(hmac_key bytea, constant integer) returns bytea
language plpgsql immutable strict as $$
declare
    block bytea := case when length(hmac_key) > 64 then sha256(hmac_key) else hmac_key end;
begin
    block := block || decode(repeat('00', 64 - length(block)), 'hex');
    for position in 0..63 loop
        block := set_byte(block, position, get_byte(block, position) # constant);
    end loop;
    return block;
end
$$;

-- 366 random bits from three UUIDs of version 4; pgcrypto is not needed.
with

new_key as (

    select
        sha256(
            uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
        ) as hmac_key

)

insert into secret.email_hash_key (inner_pad, outer_pad)
select
    secret.hmac_pad(hmac_key, 54),  -- 0x36, RFC 2104
    secret.hmac_pad(hmac_key, 92)   -- 0x5c, RFC 2104
from new_key;
