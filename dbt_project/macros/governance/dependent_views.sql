{#-
    dbt builds a table or view beside the old one, swaps the names and drops the old one, with all
    views on it. `keep_dependent_views` has them read the new one instead, in the transaction of the
    swap: those of models/reports would be away until they are built again, or for good where
    something fails in between. A view that the new table does not fit, or that another role owns,
    goes as before. Those of failing rows do too: tests make them anew.
-#}
{% macro keep_dependent_views() %}
    {%- if execute and not is_incremental() %}
    {%- set old = make_backup_relation(this, 'table') %}
    {%- for view in dependent_views(old) %}
        {%- do adapter.cache_dropped(view) %}
    {%- endfor %}
    do $$
    declare
        dependent record;
    begin
        for dependent in
            select distinct pg_class.oid::regclass as name, pg_get_viewdef(pg_class.oid) as query
            from pg_depend
            inner join pg_rewrite on pg_depend.objid = pg_rewrite.oid
            inner join pg_class on pg_rewrite.ev_class = pg_class.oid
            where
                pg_depend.classid = 'pg_rewrite'::regclass
                and pg_depend.refobjid = to_regclass('{{ old.include(database=false) }}')
                and pg_depend.refobjid <> pg_class.oid
                and pg_class.relkind = 'v'
                and pg_class.relnamespace
                is distinct from to_regnamespace('{{ generate_schema_name('failing_rows', none) }}')
        loop
            begin
                execute format(
                    'create or replace view %s as %s',
                    dependent.name,
                    replace(dependent.query, '{{ old.identifier }}', '{{ this.identifier }}')
                );
            exception
                when others then null;
            end;
        end loop;
    end
    $$;
    {%- endif %}
{% endmacro %}


{#-
    dbt itself takes all views of what it dropped for gone. After the drop it is told of those that
    are there: it would make them as new otherwise, and fail.
-#}
{% macro remember_dependent_views() %}
    {%- if execute and not is_incremental() %}
        {%- for view in dependent_views(this) %}
            {%- do adapter.cache_added(view) %}
        {%- endfor %}
    {%- endif %}
{% endmacro %}


{#- The views on a relation, and the views on them. -#}
{% macro dependent_views(relation) %}
    {%- set query %}
        with recursive

        dependents as (

            select to_regclass('{{ relation.include(database=false) }}')::oid as oid

            union

            select pg_rewrite.ev_class
            from dependents
            inner join pg_depend
                on dependents.oid = pg_depend.refobjid and pg_depend.classid = 'pg_rewrite'::regclass
            inner join pg_rewrite on pg_depend.objid = pg_rewrite.oid

        )

        select
            pg_namespace.nspname,
            pg_class.relname
        from dependents
        inner join pg_class on dependents.oid = pg_class.oid
        inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
        where
            pg_class.relkind = 'v'
            and pg_class.oid is distinct from to_regclass('{{ relation.include(database=false) }}')
    {%- endset %}
    {%- set views = [] %}
    {%- for schema, name in run_query(query).rows %}
        {%- do views.append(
            api.Relation.create(database=relation.database, schema=schema, identifier=name, type='view')
        ) %}
    {%- endfor %}
    {{ return(views) }}
{% endmacro %}
