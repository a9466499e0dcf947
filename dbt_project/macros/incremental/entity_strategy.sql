{#-
    The one incremental strategy of this project. A model computes whole entities (an event, a
    user), never slices of them: the rows of every changed entity are deleted and the freshly
    computed ones inserted, in one transaction with the model's mark.

    `unique_key` names the entity. Where rows can disappear (an event voided, two tasks that become
    one) the changed entities are not all in the new rows; `meta.changes` then names the relation
    whose `build_id` tells which entities changed.
-#}
{% macro get_incremental_entity_sql(arg_dict) %}
    {%- set entity = arg_dict['unique_key'] -%}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) -%}
    {%- set changes = config.get('meta', {}).get('changes') -%}

    delete from {{ arg_dict['target_relation'] }}
    where {{ entity }} in (
        {%- if changes %}
        select {{ entity }} from {{ ref(changes) }} where build_id > {{ low_mark() }}
        {%- else %}
        select {{ entity }} from {{ arg_dict['temp_relation'] }}
        {%- endif %}
    );

    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }}
{% endmacro %}
