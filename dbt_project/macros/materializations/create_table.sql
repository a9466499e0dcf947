{#-
    As dbt's own, but for the primary key of a contract: made of all rows at once, its index takes a
    part of what it does where each row looks its place up.
-#}
{% macro postgres__create_table_as(temporary, relation, sql) -%}
    {%- set keys = [] -%}
    {%- for column in model.columns.values() if column.constraints | selectattr('type', 'equalto', 'primary_key') | list -%}
        {%- do keys.append(column.name) -%}
    {%- endfor -%}
    {%- if temporary or keys | length != 1 or not config.get('contract').enforced -%}
        {{ return(dbt.postgres__create_table_as(temporary, relation, sql)) }}
    {%- endif -%}
    {{ dbt.postgres__create_table_as(temporary, relation, sql) | replace(' primary key', '', 1) }}
    alter table {{ relation }} add primary key ({{ adapter.quote(keys[0]) }});
{%- endmacro %}
