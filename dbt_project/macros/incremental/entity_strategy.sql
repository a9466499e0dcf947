{#-
    The one incremental strategy of this project. A model computes whole entities (an event, a
    user, a day), never slices of them: the rows of every changed entity are deleted and the freshly
    computed ones inserted, in one transaction with the model's mark.

    `unique_key` names the entity. Where rows can disappear (an event voided, two tasks that become
    one) the changed entities are not all in the new rows. `meta.changes` then names the relation
    whose `build_id` tells which entities changed besides, or `meta.changes_of` the fact whose changes
    do. With `meta.keeps_emptied` the new rows have every changed entity, with a count of 0 where
    nothing is left of it.

    Every column is qualified: an unqualified one that the relation of a subquery lacks is taken from
    the table that is deleted from, and the condition is true of every row.
-#}
{% macro get_incremental_entity_sql(arg_dict) %}
    {%- set target = arg_dict['target_relation'] -%}
    {%- set new_rows = arg_dict['temp_relation'] -%}
    {%- set entity = arg_dict['unique_key'] -%}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns']) -%}
    {%- set meta = config.get('meta', {}) -%}
    {%- set is_replaced -%}
        {%- if not continues() and not reads_raw() and not invocation_args_dict.get('empty') -%}
        true
        {%- else -%}
        replaced.{{ entity }} in (
            select new_rows.{{ entity }} from {{ new_rows }} as new_rows
            {%- if meta.changes %}
            union all
            select changes.{{ entity }} from {{ ref(meta.changes).render() }} as changes
            where changes.build_id > {{ low_mark() }}
            {%- elif meta.changes_of and not meta.keeps_emptied %}
            union all
            select changes.{{ entity }} from {{ changes_of(meta.changes_of) }}
            {%- endif %}
        )
        {%- endif -%}
    {%- endset -%}

    {{ note_changes(target, new_rows, is_replaced) }}

    delete from {{ target }} as replaced
    where {{ is_replaced }};

    insert into {{ target }} ({{ columns }})
    select {{ columns }} from {{ new_rows }}
{% endmacro %}
