{#-
    The columns of a kept model are those of its code: where they would be others, it is computed
    whole (`outdated.sql`), as dbt has it. Where it goes on, dbt would ask four times for columns that are
    known to be the same. With any other strategy than this project's two it is as dbt has it, too.
-#}
{% materialization incremental, adapter='postgres' %}
    {%- set known = load_cached_relation(this) -%}
    {%- set is_own = config.get('incremental_strategy') in ('entity', 'counts') -%}
    {%- if known is none or not known.is_table or should_full_refresh() or not is_own -%}
        {{ return(dbt.materialization_incremental_default()) }}
    {%- endif -%}
    {%- set new_rows = make_temp_relation(this) -%}
    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}
    {#- Where it goes on, it is of the code and of the inputs whose columns were checked by then. -#}
    {%- do run_query(
        'create temporary table ' ~ new_rows ~ ' as (' ~ sql ~ ')' if continues() else get_create_table_as_sql(True, new_rows, sql)
    ) -%}
    {%- set comments = comments_of(known) -%}
    {%- do model.update({'known_comments': comments}) -%}
    {%- call statement('main') -%}
        {{ adapter.get_incremental_strategy_macro(context, config.get('incremental_strategy'))({
            'target_relation': known, 'temp_relation': new_rows, 'unique_key': config.get('unique_key'),
            'dest_columns': comments | reject('equalto', '') | list,
        }) }}
    {%- endcall -%}
    {%- do persist_docs(known, model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [known]}) }}
{% endmaterialization %}
