{#-
    dbt truncates every seed in every build, and so waits for whoever reads a mart that is a view over
    it, with all who come after waiting in turn. Here the rows of the file are compared with those of
    the table: where they are the same, nothing is touched; where not, they are replaced beside what
    is being read. Only where the columns are others is the table made anew.
-#}
{% materialization seed, adapter='postgres' %}
    {%- set file = load_agate_table() -%}
    {%- do store_result('agate_table', response='OK', agate_table=file) -%}
    {%- set known = load_relation(this) -%}
    {%- set target = this.incorporate(type='table') -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- do load_file(file) -%}
    {%- set has_columns = known is not none and run_query(differing_columns('new_seed', target)).rows | length == 0 -%}
    {%- set is_changed = not has_columns or run_query(differing_rows('new_seed', target)).rows | length > 0 -%}
    {%- if not has_columns -%}
        {%- do adapter.drop_relation(known) if known is not none -%}
        {%- do run_query('create table ' ~ target ~ ' (like new_seed)') -%}
    {%- endif -%}
    {%- call statement('main') %}
        {%- if is_changed %}
        delete from {{ target }};
        insert into {{ target }} select * from new_seed;
        {%- endif %}
        drop table new_seed;
    {%- endcall -%}
    {%- do keep_lines(file) -%}

    {%- do apply_grants(target, config.get('grants'), should_revoke=should_revoke(known, full_refresh_mode=not has_columns)) -%}
    {%- do persist_docs(target, model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target]}) }}
{% endmaterialization %}


{#- Has the rows of the file in a temporary table with the seed's types. -#}
{% macro load_file(file) %}
    {%- set types = config.get('column_types', {}) -%}
    {%- set rows = [] -%}
    {%- for row in file.rows -%}
        {%- set values = {} -%}
        {%- for name in file.column_names -%}
            {%- do values.update({name: none if row[name] is none else row[name] | string}) -%}
        {%- endfor -%}
        {%- do rows.append(values) -%}
    {%- endfor -%}
    {%- set columns -%}
        {%- for name in file.column_names -%}
            {{ adapter.quote(name) }} {{ types.get(name, adapter.convert_type(file, loop.index0)) }} {{- ', ' if not loop.last }}
        {%- endfor -%}
    {%- endset -%}
    {%- do run_query('drop table if exists pg_temp.new_seed; create temporary table new_seed (' ~ columns ~ ')') -%}
    {%- do adapter.add_query(
        'insert into new_seed select * from jsonb_populate_recordset(null::new_seed, %s)',
        bindings=[tojson(rows)], abridge_sql_log=true
    ) -%}
{% endmacro %}
