{#-
    The models that read a table next do not wait for autovacuum. It knows nothing of one just made,
    nor that one has grown many times; and in one with a `build_id` it expects no rows of the build
    that it has not seen, where half of the table may be. A tenth of the usual sample is enough to
    choose plans.
-#}
{% macro take_statistics() %}
    {%- if execute and config.get('materialized') != 'view' %}
    {%- set relation = this.include(database=false) %}
    do $$
    declare
        inserted bigint := pg_stat_get_xact_tuples_inserted('{{ relation }}'::regclass);
    begin
        if
            inserted > (select reltuples / 2 from pg_class where oid = '{{ relation }}'::regclass)
            or inserted > 0 and exists (
                select from pg_attribute where attrelid = '{{ relation }}'::regclass and attname = 'build_id'
            )
        then
            set local default_statistics_target = 10;
            analyze {{ relation }};
        end if;
    end
    $$;
    {%- endif %}
{% endmacro %}
