{#-
    Conditions that leave of a relation what a model has to compute anew. Where it is computed
    whole they leave everything, and are nothing to check.
-#}

{#- Of a relation with a `build_id`: the row changed since the model last read. -#}
{% macro has_changed(relation=none) -%}
    {{ relation ~ '.' if relation }}build_id > {{ low_mark() }}
{%- endmacro %}


{#-
    Of a relation with a `user_id`: something of the user changed, or came of age by `of_age`, a
    column of the model's own rows, or of `source`, with ages in `meta.comes_of_age`.
-#}
{% macro is_of_changed_user(of_age=none, source=none) -%}
    {%- set changed_users = ref('int_users__changed').render() -%}
    {%- if continues() -%}
    user_id in (
        select changed_users.user_id from {{ changed_users }} as changed_users
        where {{ has_changed('changed_users') }}
        {%- for age in ages_of(of_age or '') %}
        union all
        select known.user_id from {{ source or this }} as known
        where {{ has_come_of_age('known.' ~ of_age, age) }}
        {%- endfor %}
    )
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}


{#-
    Of a relation with the column: a row of the fact with its value changed, or a row of the model
    with its value came of age by `of_age`, or goes on to another day by `of_day`.
-#}
{% macro is_changed_in(fact, column, of_age=none, of_day=none) -%}
    {%- set changes = changes_of(fact) -%}
    {%- if continues() -%}
    {{ column }} in (
        select changes.{{ column }} from {{ changes }}
        {%- if of_age or of_day %}
        union all
        select known.{{ column }} from {{ this }} as known
        where {{ has_come_of_age('known.' ~ of_age, '0 hours') if of_age else is_of_another_day('known.' ~ of_day) }}
        {%- endif %}
    )
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}


{#-
    The model's own rows, as it has them; none where it is computed whole, which staging never is.
    `columns` are those that it asks for, with their types.
-#}
{% macro known_rows(columns) -%}
    {%- if continues() or reads_raw() and is_incremental() -%}
    {{ this }}
    {%- else -%}
    (
        select {% for column, type in columns.items() %}null::{{ type }} as {{ column }}{{ ', ' if not loop.last }}{% endfor %}
        where false
    )
    {%- endif -%}
{%- endmacro %}
