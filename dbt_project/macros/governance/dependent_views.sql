{#-
    dbt builds a table beside the old one, swaps the names and drops the old one, with all views on
    it. This has the views read the new table instead, in the transaction of the swap: those of
    models/reports, which would be away until they are built again, and for good where something
    fails in between, and those of analysts. A view that the new table does not fit, or that is
    somebody else's, goes as before.
-#}
{% macro keep_dependent_views() %}
    {%- if execute %}
    {%- set old = make_backup_relation(this, 'table') %}
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
                and pg_class.relkind = 'v'
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
