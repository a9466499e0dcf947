{#-
    The planner knows nothing of a table just made, nor that one has grown many times, until
    autovacuum comes by in a minute: the models that read it next would not wait. A tenth of the usual
    sample is enough to choose plans.
-#}
{% macro take_statistics() %}
    {%- if execute and config.get('materialized') != 'view' %}
    {%- set table = "'" ~ this.include(database=false) ~ "'::regclass" %}
    do $$
    begin
        if
            pg_stat_get_xact_tuples_inserted({{ table }})
            > (select reltuples / 2 from pg_class where oid = {{ table }})
        then
            set local default_statistics_target = 10;
            analyze {{ this.include(database=false) }};
        end if;
    end
    $$
    {%- endif %}
{% endmacro %}
