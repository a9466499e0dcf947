-- Functions of PostgreSQL that Spark lacks, and what models ask of either engine in its own way, as
-- temporary functions of the session. jsonb is VARIANT; `timestamptz` is a TIMESTAMP of a session in UTC.
-- `translate` within `lower`: see `texts.py`.

-- ---------- JSON

create or replace temporary function jsonb_typeof(json variant) returns string return
    case
        when json is null then null
        when is_variant_null(json) then 'null'
        when schema_of_variant(json) like 'OBJECT%' then 'object'
        when schema_of_variant(json) like 'ARRAY%' then 'array'
        when schema_of_variant(json) = 'STRING' then 'string'
        when schema_of_variant(json) = 'BOOLEAN' then 'boolean'
        else 'number'
    end;

create or replace temporary function json_member(json variant, name string) returns variant return
    variant_get(json, concat('$["', name, '"]'), 'variant');

create or replace temporary function jsonb_delete(json variant, names array<string>) returns variant return
    to_variant_object(map_filter(cast(json as map<string, variant>), (name, value) -> not array_contains(names, name)));

-- Keys of an object are in order; numbers that are the same differ in `.0` only.
create or replace temporary function comparable_json(json variant) returns string return
    regexp_replace(to_json(json), '[.]0(?=[],}]|$)', '');

-- An item of `jsonb_build_array`, of which there is `{"i":...}`; PostgreSQL escapes in lower case.
create or replace temporary function json_item(json string) returns string return
    case
        when json rlike 'u00[01][A-F]'
            then array_join(transform(
                regexp_extract_all(substring(json, 6, length(json) - 6), '\\\\u[0-9A-F]{4}|\\\\.|[^\\\\]+', 0),
                part -> case when startswith(part, '\\u') then lower(part) else part end
            ), '')
        else substring(json, 6, length(json) - 6)
    end;

-- ---------- numbers

create or replace temporary function trimmed(number decimal(38, 20)) returns string return
    regexp_replace(cast(number as string), '[.]0+$|(?<=[.][0-9]{1,20})0+$', '');

-- As PostgreSQL writes a float8: the fewest digits that tell it, with an exponent below 1e-4 and from 1e15 on.
create or replace temporary function float8_text(number double) returns string return
    case
        when abs(number) >= 1e-4 and abs(number) < 1e15 then trimmed(try_cast(cast(number as string) as decimal(38, 20)))
        else regexp_replace(
            regexp_replace(
                regexp_replace(lower(cast(number as string)), '[.]0e', 'e'), 'e([0-9])', 'e+$1'
            ),
            'e([+-])([0-9])$', 'e$10$2'
        )
    end;

create or replace temporary function canonical_number(number double, exact decimal(38, 20)) returns string return
    case
        when abs(number) < 1e15 and exact = round(exact, 6) and (exact <> 0 or number = 0) then trimmed(exact)
        when abs(number) between 1e-300 and 1e300 then float8_text(number)
    end;

create or replace temporary function numeric_of(text string) returns decimal(21, 6) return
    case when text rlike '^-?[0-9]{1,15}([.][0-9]{1,6})?$' then cast(text as decimal(21, 6)) end;

-- Of at most 53 bits.
create or replace temporary function whole_number_text(number double, exact decimal(38, 20)) returns string return
    case
        when abs(number) < 9007199254740992 and exact = floor(exact) then cast(cast(exact as decimal(16, 0)) as string)
    end;

create or replace temporary function canonical_value(json variant) returns string return
    case jsonb_typeof(json)
        when 'string' then nullif(left(cast(json as string), 256), '')
        when 'number' then canonical_number(try_variant_get(json, '$', 'double'), try_variant_get(json, '$', 'decimal(38, 20)'))
        when 'boolean' then cast(json as string)
    end;

create or replace temporary function json_numeric(json variant) returns decimal(21, 6) return
    case jsonb_typeof(json)
        when 'number'
            then case
                when abs(try_variant_get(json, '$', 'double')) < 1e15 then cast(round(try_variant_get(json, '$', 'decimal(38, 20)'), 6) as decimal(21, 6))
            end
        when 'string' then numeric_of(cast(json as string))
    end;

create or replace temporary function json_text(json variant) returns string return
    case jsonb_typeof(json)
        when 'string' then nullif(left(cast(json as string), 256), '')
        when 'number' then trimmed(json_numeric(json))
    end;

create or replace temporary function json_user_id(json variant) returns string return
    case jsonb_typeof(json)
        when 'number' then whole_number_text(try_variant_get(json, '$', 'double'), try_variant_get(json, '$', 'decimal(38, 20)'))
        when 'string'
            then case when length(cast(json as string)) between 1 and 128 then cast(json as string) end
    end;

-- ---------- times

create or replace temporary function time_of(text string) returns timestamp return
    case
        when text rlike '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)([.][0-9]{1,9})?([Zz]|[+-](0[0-9]|1[0-5]):[0-5][0-9])$' and left(text, 4) <> '0000'
            then timestampadd(
                microsecond,
                cast(bround(cast(concat('0', regexp_extract(text, '([.][0-9]+)', 1)) as decimal(10, 9)) * 1000000) as bigint),
                try_cast(concat(
                    replace(left(text, 10) || ' ' || substring(text, 12, 8), ':60', ':59'),
                    upper(regexp_extract(text, '([Zz]|[+-][0-9:]{5})$', 1))
                ) as timestamp)
            )
    end;

create or replace temporary function json_timestamptz(json variant) returns timestamp return
    case when jsonb_typeof(json) = 'string' then time_of(cast(json as string)) end;

-- ---------- of this project

create or replace temporary function legal_ids(ids array<string>, other_than string, illegal array<string>)
returns array<string> return
    array_sort(array_distinct(filter(
        ids, id -> not array_contains(illegal, lower(translate(trim(id), '\u0130\u03a3', 'i\u03c3'))) and id <> coalesce(other_than, '')
    )));

-- As secret.user_id_in_marts of the migrations.
create or replace temporary function user_id_in_marts(user_id string, hashes boolean, inner_pad binary, outer_pad binary)
returns string return
    case
        when hashes and user_id rlike '^\\s*[^@\\s]+@[^@\\s]+[.][^@\\s]+\\s*$'
            then concat('email:', sha2(concat(outer_pad, unhex(sha2(
                concat(inner_pad, encode(lower(translate(trim(both ' \t\n\u000b\f\r' from user_id), '\u0130\u03a3', 'i\u03c3')), 'UTF-8')), 256
            ))), 256))
        when user_id rlike '^~*(anonymous:|email:[0-9a-f]{64}$)' then concat('~', user_id)
        else user_id
    end;

create or replace temporary function is_host_of(host string, hosts array<string>) returns boolean return
    coalesce(exists(hosts, known -> host = known or endswith(host, concat('.', known))), false);

create or replace temporary function referring_host(referrer string, own string, unwanted array<string>)
returns string return
    case when not is_host_of(referrer, unwanted) and (own is null or referrer <> own) then referrer end;

-- The first visit in the window, the last that is not direct, and the newest; one null where there is none.
create or replace temporary function touched_visits(last bigint, in_window bigint, non_direct bigint, most int)
returns array<bigint> return
    case
        when in_window > 0
            then array_distinct(concat(
                array(last - in_window + 1),
                case when non_direct > last - in_window then array(non_direct) else array() end,
                sequence(last - least(in_window, greatest(most - 2, 1)) + 1, last)
            ))
        else array(cast(null as bigint))
    end;

-- From each event that moves an attempt on to the next, as in macros/funnel_moves.sql.
create or replace temporary function funnel_walk(
    events array<struct<position: bigint, place: int, step_order: int, event_key: string, source: string, occurred_at: timestamp, outcome: string>>,
    last_step_order int,
    conversion_window interval day to second
)
returns array<struct<attempt: int, event_key: string, source: string, step_order: int, reached_step_order: int, started_at: timestamp, occurred_at: timestamp, position: bigint, outcome: string>>
return aggregate(
    events,
    cast(array() as array<struct<attempt: int, event_key: string, source: string, step_order: int, reached_step_order: int, started_at: timestamp, occurred_at: timestamp, position: bigint, outcome: string>>),
    (moves, event) -> case
        when
            event.position > coalesce(get(moves, size(moves) - 1).position, 0)
            and case
                when
                    size(moves) = 0
                    or get(moves, size(moves) - 1).outcome is not null
                    or event.occurred_at > get(moves, size(moves) - 1).started_at + conversion_window
                    then event.step_order = 1
                else event.step_order = get(moves, size(moves) - 1).reached_step_order + 1 or event.step_order is null
            end
            then array_append(moves, named_struct(
                'attempt', coalesce(get(moves, size(moves) - 1).attempt, 0) + case when event.step_order = 1 then 1 else 0 end,
                'event_key', event.event_key,
                'source', event.source,
                'step_order', event.step_order,
                'reached_step_order', coalesce(event.step_order, get(moves, size(moves) - 1).reached_step_order),
                'started_at', case when event.step_order = 1 then event.occurred_at else get(moves, size(moves) - 1).started_at end,
                'occurred_at', event.occurred_at,
                'position', event.position,
                'outcome', case
                    when event.step_order = last_step_order then coalesce(event.outcome, 'converted')
                    when event.step_order is null then event.outcome
                end
            ))
        else moves
    end
);
