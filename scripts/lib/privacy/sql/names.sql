-- Whom a statement is about, and how texts are looked through for them. Kinds are user, email and
-- anonymous. An id stands for itself in a text of others only where it cannot be mistaken for a word
-- or a number: 8 characters at least, with a letter and a digit; it is looked for as a whole value.
create temporary table named_people (
    kind text not null,
    id text not null,
    needle text,
    id_in_marts text,
    primary key (kind, id)
);

-- The user or anonymous id under which staging and marts have somebody; null for an email that is no
-- user id there. One that was found in the marts may be a hash already.
create function pg_temp.id_in_marts(kind text, id text) returns text
language sql stable as $$
    select case
        when kind = 'anonymous' or id ~ '^email:[0-9a-f]{64}$' then id
        when kind = 'user' or told.id_told like 'email:%' then told.id_told
    end
    from (select secret.user_id_in_marts(id) as id_told) as told
$$;

-- The same people as staging and marts know them.
create view pg_temp.people_in_marts as
select distinct
    case when kind = 'email' and id_in_marts is not null then 'user' else kind end as kind,
    coalesce(id_in_marts, id) as id
from named_people;

create function pg_temp.needle(kind text, id text) returns text
language sql immutable as $$
    select id where kind = 'email' or (length(id) >= 8 and id ~ '[[:alpha:]]' and id ~ '[0-9]')
$$;

-- As it is compared: `%40` and escapes of JSON hide no address, and join none to what is before it.
create function pg_temp.folded(body text) returns text
language sql immutable as $$
    select regexp_replace(
        replace(replace(lower(body), '%40', '@'), '%2b', '+'),
        '%[0-9a-f]{2}|\\(u[0-9a-f]{4}|.)', ' ', 'g'
    )
$$;

-- What a text of JSON has of whole values and of addresses, to be looked up among the needles.
create function pg_temp.texts(body text) returns table (found text)
language sql immutable as $$
    select unnest(string_to_array(body, '"'))
    union all
    select addresses.found[1]
    from regexp_matches(
        pg_temp.folded(body), '[^][:space:]"<>(),:;=&?/\\|@]+@[[:alnum:].-]*[[:alnum:]]', 'g'
    ) as addresses (found)
    where strpos(body, '@') > 0 or strpos(body, '%40') > 0
$$;

-- The text of a JSON value without them: null where they were a value, `erased` within a longer one.
create function pg_temp.without_mentions(body text) returns text
language plpgsql stable as $$
declare
    folded text := pg_temp.folded(body);
    name record;
    pattern text;
begin
    for name in
        select named_people.kind, named_people.id, to_jsonb(named_people.id)::text as quoted
        from named_people
        where strpos(body, named_people.needle) > 0
            or (named_people.kind = 'email' and strpos(folded, named_people.id) > 0)
    loop
        -- A key of JSON has a colon after it, a value has not.
        body := replace(body, name.quoted || ',', 'null,');
        body := replace(body, name.quoted || '}', 'null}');
        body := replace(body, name.quoted || ']', 'null]');
        if name.kind = 'email' then
            pattern := regexp_replace(name.id, '([^[:alnum:]@+])', '\\\1', 'g');
            pattern := replace(replace(pattern, '@', '(?:@|%40)'), '+', '(?:\+|%2b)');
            body := regexp_replace(
                body,
                '(?:(?<![[:alnum:]._+-])|(?<=%[0-9a-f]{2}|\\.|\\u[0-9a-f]{4}))' || pattern
                || '(?![[:alnum:]-]|\.[[:alnum:]])',
                'erased', 'gi'
            );
        end if;
    end loop;
    return body;
end
$$;

-- As macro json_user_id has it.
create function pg_temp.id_text(value jsonb) returns text
language sql immutable as $$
    select case jsonb_typeof(value)
        when 'number' then trim_scale(value::numeric)::text
        when 'string' then value #>> '{}'
    end
$$;
