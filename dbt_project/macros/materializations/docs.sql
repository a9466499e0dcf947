{#- dbt's own writes every comment in every run. Here those that are others. -#}
{% macro postgres__persist_docs(relation, model, for_relation, for_columns) -%}
    {%- set known = model['known_comments'] or comments_of(relation) -%}
    {%- if for_relation and config.persist_relation_docs() and model.description and model.description != known[''] -%}
        {%- do run_query(alter_relation_comment(relation, model.description)) -%}
    {%- endif -%}
    {%- if for_columns and config.persist_column_docs() and model.columns -%}
        {%- set others = {} -%}
        {%- for name, column in validate_doc_columns(relation, model.columns, known.keys() | list).items() if column.description != known[name] -%}
            {%- do others.update({name: column}) -%}
        {%- endfor -%}
        {%- set statements = [] -%}
        {%- for name, column in others.items() -%}
            {%- do statements.append(
                'comment on column ' ~ relation ~ '.' ~ adapter.quote(name) ~ ' is ' ~ postgres_escape_comment(column.description)
            ) -%}
        {%- endfor -%}
        {%- do run_query(statements | join('; ')) if statements -%}
    {%- endif -%}
{%- endmacro %}


{#- The comment of each column by its name, and that of the relation by an empty one. -#}
{% macro comments_of(relation) -%}
    {%- call statement('comments', fetch_result=True) -%}  {#- which begins the transaction that is to end -#}
        select '' as name, obj_description('{{ relation }}'::regclass, 'pg_class') as comment
        union all
        select attname, col_description(attrelid, attnum)
        from pg_attribute
        where attrelid = '{{ relation }}'::regclass and attnum > 0 and not attisdropped
    {%- endcall -%}
    {%- set known = {} -%}
    {%- for row in load_result('comments').table.rows -%}
        {%- do known.update({row['name']: row['comment'] or ''}) -%}
    {%- endfor -%}
    {{ return(known) }}
{%- endmacro %}
