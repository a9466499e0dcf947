{#-
    `entity`, the default: a model computes whole entities (an event, a user, a group of a day),
    never slices of them. The rows of every changed entity are deleted and the freshly computed ones
    inserted.

    Where rows can disappear (an event voided, two tasks that become one) the changed entities are
    not all in the new rows. `meta.changes` then names the relation whose `build_id` tells which
    entities changed besides, or `meta.changes_of` the fact whose changes do. With
    `meta.keeps_emptied` the new rows have every changed entity, one with nothing in it too.
-#}
{% macro get_incremental_entity_sql(arg_dict) %}
    {%- set target = arg_dict['target_relation'] -%}
    {%- set new_rows = arg_dict['temp_relation'] -%}
    {%- set keys = key_columns(arg_dict['unique_key']) -%}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns']) -%}
    {%- set meta = config.get('meta', {}) -%}
    {%- set is_replaced -%}
        {%- if not continues() and not reads_raw() and not invocation_args_dict.get('empty') -%}
        true
        {%- else -%}
        ({{ qualified(keys, 'replaced') }}) in (
            select {{ qualified(keys, 'new_rows') }} from {{ new_rows }} as new_rows
            {%- if meta.changes %}
            union all
            select {{ qualified(keys, 'changes') }} from {{ ref(meta.changes).render() }} as changes
            where {{ has_changed('changes') }}
            {%- elif meta.changes_of and not meta.keeps_emptied %}
            union all
            select {{ qualified(keys, 'changes') }} from {{ changes_of(meta.changes_of) }}
            {%- endif %}
        )
        {%- endif -%}
    {%- endset -%}

    {%- if continues() and 'build_id' not in arg_dict['dest_columns'] and not is_key_of_rows(keys) %}
    {{ replace_what_differs(target, new_rows, columns, is_replaced) }}
    {%- else %}
    {%- set counted = meta.counted | join(', ') if meta.counted and continues() -%}
    {%- set delete -%}
        delete from {{ target }} as replaced
        where {{ is_replaced }}
    {%- endset %}
    {%- if counted %}
    with

    gone as (

        {{ delete }}
        returning {{ counted }}

    ),

    versions as (

        select {{ counted }}, -1 as change from gone
        union all
        select {{ counted }}, 1 from {{ new_rows }}

    )

    {{ note_counted('versions') }};
    {%- else %}
    {{ delete }};
    {%- endif %}

    insert into {{ target }} ({{ columns }})
    select {{ columns }} from {{ new_rows }}
    {%- endif %}
{% endmacro %}


{#- Whether each entity is one row: then one that changed is a row that did. -#}
{% macro is_key_of_rows(keys) -%}
    {%- set constraints = model.columns.get(keys[0], {}).get('constraints', []) -%}
    {{ return(keys | length == 1 and constraints | selectattr('type', 'equalto', 'primary_key') | list | length > 0) }}
{%- endmacro %}


{#-
    Most rows of a changed user are as they were: what is read is compared, and only what differs is
    written. Each row has a key; of two that are the same both are known.
-#}
{% macro replace_what_differs(target, new_rows, columns, is_replaced) %}
    with

    versions as (

        select
            {{ columns }},
            count(*) - 2 * count(place) as change,
            array[min(place), max(place)] as places

        from (
            select {{ columns }}, replaced.ctid as place from {{ target }} as replaced where {{ is_replaced }}
            union all
            select {{ columns }}, null::tid from {{ new_rows }}
        ) as rows_of_both

        group by {{ columns }}

        having count(*) <> 2 * count(place)

    ),

    gone as (

        delete from {{ target }} as replaced
        where replaced.ctid = any(array(
            select unnest(versions.places[:-versions.change]) from versions where versions.change < 0
        ))
        returning 1

    )
    {%- if config.get('meta', {}).get('counted') %},

    noted as (

        {{ note_counted('versions') }}

    )
    {%- endif %}

    -- Counted first, so that a key is free before it is taken again.
    insert into {{ target }} ({{ columns }})
    select {{ columns }} from versions
    cross join generate_series(1, versions.change)
    where (select count(*) from gone) >= 0
{% endmacro %}
