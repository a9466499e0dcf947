{#-
    What a value of an activity is where values are compared: by funnels' filters, and as segments.
    Values, not their JSON text, are compared: 1, 1.0 and 1e0 are one number. A text is itself, so
    "1.0" (a version) and "007" (a code) are no numbers; true and false are texts. No value (null):
    null, the empty text, objects, arrays, and numbers that no client can hold (beyond 1e300).

    At most 256 characters, as `json_text`. Numbers below 10^15 with up to six decimals are exact;
    others are told apart as far as a float64 can, which is as far as JSON's clients can (RFC 8259,
    section 6).
-#}
{% macro canonical_value(value) -%}
    {{ return(adapter.dispatch('canonical_value')(value)) }}
{%- endmacro %}


{% macro default__canonical_value(value) -%}
    case jsonb_typeof({{ value }})
        when 'string' then nullif(left({{ value }} #>> '{}', 256), '')
        when 'number' then {{ canonical_number("(" ~ value ~ ")::numeric") }}
        when 'boolean' then {{ value }} #>> '{}'
    end
{%- endmacro %}


{% macro canonical_number(number) -%}
    case
        when abs({{ number }}) < 1e15 and {{ number }} = round({{ number }}, 6)
            then trim_scale(round({{ number }}, 6))::text
        when abs({{ number }}) between 1e-300 and 1e300 then ({{ number }})::float8::text
    end
{%- endmacro %}


{#- Whether a value is the one that a seed names as text: `1.0` there is the number 1 and the text "1.0". -#}
{% macro is_value(value, text) -%}
    {{ canonical_value(value) }} = case
        when jsonb_typeof({{ value }}) = 'number'
            then case
                when {{ text }} ~ '^-?[0-9]{1,255}([.][0-9]{1,255})?([eE][+-]?[0-9]{1,3})?$'
                    then {{ canonical_number("(" ~ text ~ ")::numeric") }}
            end
        else left({{ text }}, 256)
    end
{%- endmacro %}
