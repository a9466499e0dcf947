{#-
    Everything in JSONB can be something else than expected: '12x', 2024-02-30, year 9999, or
    1e131071, eight bytes that expand to 131,072 digits. These macros give null where a value is
    not of its type; none of them can fail or grow, whatever is stored.
-#}

{#- Longest text kept from a payload: indexable, and more than any name needs. -#}
{% macro json_text(value) -%}
    {{ return(adapter.dispatch('json_text')(value)) }}
{%- endmacro %}


{% macro default__json_text(value) -%}
    case jsonb_typeof({{ value }})
        when 'string' then nullif(left({{ value }} #>> '{}', 256), '')
        when 'number' then {{ json_numeric(value) }}::text
    end
{%- endmacro %}


{#- Numbers, and strings that are plain decimal numbers, below 10^15, to six decimals. -#}
{% macro json_numeric(value) -%}
    {{ return(adapter.dispatch('json_numeric')(value)) }}
{%- endmacro %}


{% macro default__json_numeric(value) -%}
    case jsonb_typeof({{ value }})
        when 'number'
            then case
                when abs(({{ value }})::numeric) < 1e15 then trim_scale(round(({{ value }})::numeric, 6))
            end
        when 'string'
            then case
                when {{ value }} #>> '{}' ~ '^-?[0-9]{1,15}([.][0-9]{1,6})?$'
                    then trim_scale(({{ value }} #>> '{}')::numeric)
            end
    end
{%- endmacro %}


{#-
    The one canonical text of a user id: whole numbers of at most 53 bits as plain digits (1.0 and
    1 are the same user), other texts of at most 128 characters as they are.
-#}
{% macro json_user_id(value) -%}
    {{ return(adapter.dispatch('json_user_id')(value)) }}
{%- endmacro %}


{% macro default__json_user_id(value) -%}
    case jsonb_typeof({{ value }})
        when 'number'
            then case
                when
                    abs(({{ value }})::numeric) < 9007199254740992
                    and ({{ value }})::numeric = trunc(({{ value }})::numeric)
                    then trunc(({{ value }})::numeric)::text
            end
        when 'string'
            then case
                when length({{ value }} #>> '{}') between 1 and 128 then {{ value }} #>> '{}'
            end
    end
{%- endmacro %}


{#-
    RFC 3339 time. The pattern admits what has the form, the last day of the month is computed, so
    that the cast only sees real times. There is no year 0; to look ahead for it in the pattern takes
    as long as the pattern. Offsets reach to 15:59, PostgreSQL's own limit. A leap second
    counts as the second before it, as in the collector: with a fraction, the cast refuses it.

    The pattern takes longer than all else. What PostgreSQL writes the same as it was sent, as nearly
    all times are, is of the form: where the version can say whether a cast would fail, it asks first.
-#}
{% macro json_timestamptz(value) -%}
    {{ return(adapter.dispatch('json_timestamptz')(value)) }}
{%- endmacro %}


{% macro default__json_timestamptz(value) -%}
    {%- set text = "(" ~ value ~ " #>> '{}')" -%}
    {%- set pattern -%}
        ^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)([.][0-9]{1,9})?([Zz]|[+-](0[0-9]|1[0-5]):[0-5][0-9])$
    {%- endset -%}
    case
        when jsonb_typeof({{ value }}) = 'string'
            then case
                {%- if can_tell_input() %}
                when
                    case
                        when {{ text }} like '____-__-__T__:__:__%Z' and pg_input_is_valid({{ text }}, 'timestamptz')
                            then replace(({{ text }}::timestamptz at time zone 'UTC')::text, ' ', 'T') || 'Z' = {{ text }}
                    end
                    then {{ text }}::timestamptz
                {%- endif %}
                when {{ text }} ~ '{{ pattern }}' and left({{ text }}, 4) <> '0000'
                    then case
                        when
                            substr({{ text }}, 9, 2)::int <= extract(day from (
                                make_date(substr({{ text }}, 1, 4)::int, substr({{ text }}, 6, 2)::int, 1)
                                + interval '1 month - 1 day'
                            ))
                            then replace({{ text }}, ':60', ':59')::timestamptz
                    end
            end
    end
{%- endmacro %}


{#- Whether the server has `pg_input_is_valid`: PostgreSQL 16 and newer. -#}
{% macro can_tell_input() -%}
    {{ return(not execute or run_query("select to_regproc('pg_input_is_valid') is not null").rows[0][0]) }}
{%- endmacro %}
