{#-
    Declares between marts the relations that `relationships` tests check, as foreign keys, so that
    BI tools find the joins: scripts/dbt run-operation declare_relations.

    They are not enforced, which PostgreSQL 18 was the first to know: what a build writes is not
    compared again, and users may come after their tasks. A table that a build makes anew has to be
    told again; views have no keys.
-#}
{% macro declare_relations() %}
    {%- set version = run_query("select current_setting('server_version_num')::integer")[0][0] -%}
    {%- if version < 180000 -%}
        {{ exceptions.raise_compiler_error('declare_relations needs PostgreSQL 18: before, foreign keys cannot be declared without being enforced. docs/connect.md lists the joins.') }}
    {%- endif -%}
    {%- for test in graph.nodes.values() if test.get('test_metadata') and test.test_metadata.name == 'relationships' -%}
        {%- set child = graph.nodes[test.attached_node] -%}
        {%- set parent = graph.nodes[(test.depends_on.nodes | reject('equalto', child.unique_id) | list)[0]] -%}
        {%- if 'seed' not in (child.resource_type, parent.resource_type) and 'view' not in (child.config.materialized, parent.config.materialized) -%}
            {%- set key = child.name ~ '_' ~ test.column_name ~ '_fkey' -%}
            {%- do run_query(
                'alter table ' ~ child.relation_name ~ ' drop constraint if exists ' ~ key
                ~ ', add constraint ' ~ key ~ ' foreign key (' ~ test.column_name ~ ') references '
                ~ parent.relation_name ~ ' (' ~ test.test_metadata.kwargs.field ~ ') not enforced'
            ) -%}
            {{ log(child.name ~ '.' ~ test.column_name ~ ' refers to ' ~ parent.name, info=true) }}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}
