{#-
    dbt puts a new table in the place of the old one, which waits for whoever reads it, with all who
    come after waiting in turn. Here the rows are replaced beside what is being read, and only where
    any is another. A table whose columns are others is made anew.
-#}
{% materialization table, adapter='postgres' %}
    {%- set known = load_relation(this) -%}
    {%- set new_rows = make_temp_relation(this) -%}
    {%- if known is none or not known.is_table -%}
        {{ return(dbt.materialization_table_default()) }}
    {%- endif -%}
    {%- do run_query(create_temporary_table(new_rows)) -%}
    {%- if run_query(differing_columns(new_rows, known)).rows | length > 0 -%}
        {%- do run_query('drop table ' ~ new_rows) -%}
        {{ return(dbt.materialization_table_default()) }}
    {%- endif -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- set is_changed = run_query(differing_rows(new_rows, known)).rows | length > 0 -%}
    {%- call statement('main') %}
        {%- if is_changed %}
        delete from {{ known }};
        insert into {{ known }} select * from {{ new_rows }};
        {%- endif %}
        drop table {{ new_rows }};
    {%- endcall -%}
    {%- do persist_docs(known, model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [known]}) }}
{% endmaterialization %}


{#- With the types of its contract, which dbt gives to no temporary table. -#}
{% macro create_temporary_table(relation) -%}
    {%- if config.get('contract').enforced -%}
    {{ get_assert_columns_equivalent(sql) }}
    create temporary table {{ relation }} {{ get_table_columns_and_constraints() }};
    insert into {{ relation }} {{ get_select_subquery(sql) }}
    {%- else -%}
    create temporary table {{ relation }} as {{ sql }}
    {%- endif -%}
{%- endmacro %}


{% macro differing_columns(new_table, known_table) -%}
    select 1
    from (
        select * from pg_attribute
        where attrelid = '{{ new_table }}'::regclass and attnum > 0
    ) as new_columns
    full join (
        select * from pg_attribute
        where attrelid = '{{ known_table }}'::regclass and attnum > 0 and not attisdropped
    ) as known_columns using (attname, atttypid, atttypmod, attnotnull, attnum)
    where new_columns.attrelid is null or known_columns.attrelid is null
{%- endmacro %}


{% macro differing_rows(new_table, known_table) -%}
    (table {{ new_table }} except all table {{ known_table }})
    union all
    (table {{ known_table }} except all table {{ new_table }})
    limit 1
{%- endmacro %}
