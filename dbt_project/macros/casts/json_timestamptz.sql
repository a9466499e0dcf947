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
