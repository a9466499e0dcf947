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
