{#-
    The two incremental strategies of this project. `unique_key` names what a model is about, one
    column or several; the model computes it, and these put it into the table, in one transaction
    with the model's mark.

    Every column is qualified: an unqualified one that the relation of a subquery lacks is taken from
    the table that is deleted from, and the condition is true of every row.
-#}

{% macro key_columns(unique_key) -%}
    {{ return([unique_key] if unique_key is string else unique_key) }}
{%- endmacro %}


{% macro qualified(columns, relation) -%}
    {%- for column in columns -%}
        {{ relation }}.{{ column }} {{- ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
