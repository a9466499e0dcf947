{#- Spark computes everything whole, from a lake of which all can be read: one build, and its time. -#}
{% macro spark__begin_build() %}
    {%- if execute %}
    {%- do run_query('create schema if not exists ' ~ generate_schema_name('staging', none)) %}
    create or replace view {{ builds() }} as
    select
        1L as build_id,
        '{{ invocation_id }}' as invocation_id,
        timestamp '{{ var('as_of', run_started_at) }}' as as_of,
        9223372036854775807L as as_of_xid
    {%- endif %}
{% endmacro %}
