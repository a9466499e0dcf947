{#-
    What a text looks like, or has within: `email`, `phone` or `card`; null for nothing of these. A
    phone number has a country code, or groups as in North America; a card number has the length
    and the first digits of an issuer and a sum of digits that fits (ISO/IEC 7812, Luhn), and nothing
    hexadecimal beside it: of random ids one in some hundred has such digits within.
-#}
{% macro likely_personal_value(text) -%}
    case
        when {{ text }} ~* '[a-z0-9._+-]+(@|%40)[a-z0-9-]+([.][a-z0-9-]+)*[.][a-z]{2,}' then 'email'
        when
            {{ text }} ~* '(^|[^0-9a-f])[3-6][0-9]{3}([ -]?[0-9]{4}){2}[ -]?[0-9]{1,7}($|[^0-9a-f])'
            and (
                select
                    count(*) between 13 and 19
                    and sum(
                        case
                            when digits.position % 2 = 1 then digits.digit::integer
                            when digits.digit::integer > 4 then digits.digit::integer * 2 - 9
                            else digits.digit::integer * 2
                        end
                    ) % 10 = 0
                from unnest(string_to_array(reverse(regexp_replace(
                    substring(
                        {{ text }}
                        from '(?i)(?:^|[^0-9a-f])([3-6][0-9]{3}(?:[ -]?[0-9]{4}){2}[ -]?[0-9]{1,7})(?:$|[^0-9a-f])'
                    ), '[^0-9]', '', 'g'
                )), null)) with ordinality as digits (digit, position)
            )
            then 'card'
        when
            {{ text }} ~ '(^|[^0-9+])[+][1-9][0-9 ()./-]{6,18}[0-9]($|[^0-9])'
            or {{ text }} ~ '(^|[^0-9])[(]?[2-9][0-9]{2}[)]?[ .-][2-9][0-9]{2}[ .-][0-9]{4}($|[^0-9])'
            then 'phone'
    end
{%- endmacro %}
