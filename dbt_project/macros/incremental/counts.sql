{#-
    `counts`: a model computes by how much its counts change, from `changes_of` a fact. They are
    added to those that it has, and a group of which nothing is left goes.
-#}
{% macro get_incremental_counts_sql(arg_dict) %}
    {%- set target = arg_dict['target_relation'] -%}
    {%- set new_rows = arg_dict['temp_relation'] -%}
    {%- set keys = key_columns(arg_dict['unique_key']) -%}
    {%- set counts = arg_dict['dest_columns'] | reject('in', keys) | list -%}
    {%- if not continues() and not invocation_args_dict.get('empty') %}
    delete from {{ target }};

    insert into {{ target }} ({{ (keys + counts) | join(', ') }})
    select {{ qualified(keys + counts, 'added') }} from {{ new_rows }} as added
    {%- else %}
    with

    known as (

        delete from {{ target }} as known
        using {{ new_rows }} as added
        where ({{ qualified(keys, 'known') }}) = ({{ qualified(keys, 'added') }})
        returning known.*

    )

    insert into {{ target }} ({{ (keys + counts) | join(', ') }})
    select
        {{ qualified(keys, 'parts') }}
        {%- for count in counts %},
        sum(parts.{{ count }})
        {%- endfor %}
    from (
        select {{ qualified(keys + counts, 'added') }} from {{ new_rows }} as added
        union all
        select {{ qualified(keys + counts, 'known') }} from known
    ) as parts
    group by {{ qualified(keys, 'parts') }}
    having
        {%- for count in counts %}
        {{ 'or ' if not loop.first }}sum(parts.{{ count }}) <> 0
        {%- endfor %}
    {%- endif %}
{% endmacro %}
