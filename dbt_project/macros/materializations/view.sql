{#-
    A view that would be as it is stays, since putting another in its place waits for whoever reads
    it. PostgreSQL says whether it would: from the definition of a temporary one.
-#}
{% materialization view, adapter='postgres' %}
    {%- set known = load_relation(this) -%}
    {%- if known is none or not known.is_view or not is_view_the_same() -%}
        {%- if not known or known.is_view -%}
            {#- A model that it was made of before may just be dropping it: wait for that. -#}
            {%- do adapter.drop_relation(this.incorporate(type='view')) -%}
        {%- endif -%}
        {{ return(dbt.materialization_view_default()) }}
    {%- endif -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {%- call noop_statement('main', 'UNCHANGED', 'UNCHANGED', 0) -%}
        {{ sql }}
    {%- endcall -%}
    {%- do persist_docs(this.incorporate(type='view'), model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [this.incorporate(type='view')]}) }}
{% endmaterialization %}


{% macro is_view_the_same() -%}
    {%- do run_query('create temporary view new_view as ' ~ sql) -%}
    {%- set definitions -%}
        select pg_get_viewdef('pg_temp.new_view'::regclass) = pg_get_viewdef(to_regclass('{{ this }}'))
    {%- endset -%}
    {%- set is_same = run_query(definitions).rows[0][0] -%}
    {%- do run_query('drop view pg_temp.new_view') -%}
    {{ return(is_same) }}
{%- endmacro %}
