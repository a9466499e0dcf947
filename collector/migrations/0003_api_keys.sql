-- Who may send and who may read. A key has 256 random bits, so its plain SHA-256 is as good as a
-- slow hash; the key itself is shown once, when it is made.
create table raw.api_keys (
    key_id bigint generated always as identity primary key,
    name text not null check (name ~ '^[[:print:]]{1,128}$'),
    scope text not null check (scope in ('read', 'write')),
    key_hash bytea not null unique check (length(key_hash) = 32),
    created_at timestamptz not null default now(),
    revoked_at timestamptz
);

comment on table raw.api_keys is 'Keys of the HTTP API by hash. Revoked ones stay: rows name them.';
comment on column raw.api_keys.name is
    'Becomes the source of the rows that are sent with it. Two keys of one name serve a rotation.';
