-- What scripts/erase did: an audit that names no person, and, only while one is unfinished, whom and
-- which rows it is about, so that it goes on where it was killed. That part is in `secret`, where
-- nobody but the owner reads it.
create table raw.erasures (
    erasure_id bigint generated always as identity primary key,
    begun_at timestamptz not null default now(),
    finished_at timestamptz,
    erased_by text not null default session_user,
    state text not null default 'begun' check (state in ('begun', 'raw', 'finished')),
    destinations text[] not null default '{}',
    identity_hashes bytea[] not null,
    counts jsonb not null default '{}'
);

comment on table raw.erasures is 'One row per erasure of people: when, by which role, and how many rows.';
comment on column raw.erasures.state is
    'begun, raw (gone from raw of the source), finished (and from all that was made of it).';
comment on column raw.erasures.destinations is 'Which of the databases that dbt builds in are done.';
comment on column raw.erasures.identity_hashes is
    'secret.identity_hash() of each id and email: tells whether a person is among them to who knows the id.';
comment on column raw.erasures.counts is 'Rows erased by table.';

create table secret.erasing_identities (
    erasure_id bigint not null,
    kind text not null check (kind in ('user', 'email', 'anonymous')),
    id text not null,
    primary key (erasure_id, kind, id)
);

comment on table secret.erasing_identities is 'Whom unfinished erasures are about.';

create table secret.erasing_rows (
    erasure_id bigint not null,
    table_name text not null check (table_name in ('events', 'users', 'rejected_events')),
    row_id bigint not null,
    source text not null,
    event_id text,
    is_theirs boolean not null,
    primary key (erasure_id, table_name, row_id, source)
);

comment on table secret.erasing_rows is
    'Rows of raw that unfinished erasures are about: theirs, or of others that mention them.';

-- HMAC-SHA256 with the key of the email hash.
create function secret.identity_hash(kind text, id text) returns bytea
language sql stable set search_path = pg_catalog, pg_temp as $$
    select sha256(outer_pad || sha256(inner_pad || convert_to(kind || ' ' || id, 'UTF8')))
    from secret.email_hash_key
$$;
