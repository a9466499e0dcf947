-- The lakes that scripts/export writes raw to: what is to be erased is erased there too, and raw is
-- kept until they have it.
create table raw.lakes (
    uri text primary key,
    database_name text not null,
    xid_origin text not null,
    exported_below xid8 not null default '0',
    exported_at timestamptz
);

comment on table raw.lakes is 'One row per lake that has rows of this database.';
comment on column raw.lakes.database_name is 'What this database is called there.';
comment on column raw.lakes.exported_below is
    'The lake has all rows of transactions below, if xid_origin is still who gives them out.';
