{#-
    The value where it is one of the `most` with the largest measure, else `(other)`: what keeps
    the site's pages small. For a query that has one row per value.
-#}
{% macro with_other(value, most, measure, within=none) -%}
    case
        when
            row_number() over (
                {%- if within %}partition by {{ within }} {% endif %}order by {{ measure }} desc, {{ value }}
            ) <= {{ most }}
            then {{ value }}
        else '(other)'
    end
{%- endmacro %}
