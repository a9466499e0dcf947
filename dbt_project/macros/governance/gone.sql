{#-
    What an earlier version of the project built and this one does not: tables and views that no
    model, seed or test makes any more, in the schemas of this target. They stay, as they were, until
    somebody says otherwise. All that is built here has a description; a table of somebody's own that
    has none is not meant, but in the schema of failing rows.
-#}
{% macro gone_relations() -%}
    {%- set schemas, kept = [], [] -%}
    {%- for node in graph.nodes.values() if node.resource_type in ('model', 'seed', 'test') -%}
        {%- do schemas.append(dbt.string_literal(node.schema)) -%}
        {%- do kept.append(dbt.string_literal(node.schema ~ '.' ~ node.alias)) -%}
    {%- endfor -%}
    {%- set query -%}
        select
            case pg_class.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end,
            format('%I.%I', pg_namespace.nspname, pg_class.relname)
        from pg_class
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        where
            pg_namespace.nspname in ({{ schemas | unique | join(', ') }})
            and pg_class.relkind in ('r', 'v', 'm')
            and pg_namespace.nspname || '.' || pg_class.relname not in ({{ kept | join(', ') }})
            and (
                obj_description(pg_class.oid, 'pg_class') is not null
                or pg_namespace.nspname = '{{ generate_schema_name('failing_rows', none) }}'
            )
        order by pg_class.relkind = 'r', 2
    {%- endset -%}
    {{ return(run_query(query).rows) }}
{%- endmacro %}


{#- Part of every build: says in a line what is gone, and how to drop it. -#}
{% macro say_what_is_gone() %}
    {%- if execute and flags.WHICH in ('build', 'run', 'test') -%}
        {%- set gone = gone_relations() | map(attribute=1) | join(', ') -%}
        {%- if gone -%}
            {{ log(
                "No model, seed or test makes " ~ gone ~ " any more. To drop: "
                ~ "scripts/dbt run-operation drop_gone --args '{dry_run: false}'", info=true
            ) }}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}


{#-
    `scripts/dbt run-operation drop_gone` says what it would drop; with --args '{dry_run: false}' it
    drops it, all or nothing: where somebody has made a view of it, PostgreSQL refuses.
-#}
{% macro drop_gone(dry_run=true) %}
    {%- set gone = gone_relations() -%}
    {%- for relation in gone -%}
        {{ log(('would drop ' if dry_run else 'drop ') ~ relation[0] ~ ' ' ~ relation[1], info=true) }}
    {%- else -%}
        {{ log('Nothing is gone: a model, seed or test makes each table and view', info=true) }}
    {%- endfor -%}
    {%- if gone and not dry_run -%}
        {%- set statements = ['begin'] -%}
        {%- for relation in gone -%}
            {%- do statements.append('drop ' ~ relation[0] ~ ' ' ~ relation[1]) -%}
        {%- endfor -%}
        {%- do run_query((statements + ['commit']) | join('; ')) -%}
    {%- endif -%}
{% endmacro %}
