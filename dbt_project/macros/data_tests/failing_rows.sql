{#-
    Part of every build: says the first rows that make a data test fail, and the line of the seed that a row
    stems from. The view of a test has them all.

    Only columns that are documented and have no `pii_class`, and what dbt's own tests call theirs; of
    these nothing that looks like personal data.
-#}
{% macro say_failing_rows(results) %}
    {%- if execute -%}
    {%- set columns = {'n_records': false, 'copies': false} -%}
    {%- for node in graph.nodes.values() if node.resource_type in ('model', 'seed') -%}
        {%- for column in node.columns.values() -%}
            {%- set class = column.get('config', {}).get('meta', {}).get('pii_class', 'none') -%}
            {%- do columns.update({column.name: columns.get(column.name, false) or class != 'none'}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- for result in results
        if result.status == 'fail' and result.node.resource_type == 'test' and result.node.relation_name -%}
        {%- for row in first_failing_rows(result.node, columns) if row[0] or row[1] -%}
            {%- set place = ', ' ~ row[1] if row[0] and row[1] else row[1] -%}
            {{ log(result.node.name ~ ' fails with ' ~ row[0] ~ place, info=true) }}
        {%- endfor -%}
    {%- endfor -%}
    {%- endif -%}
{% endmacro %}


{#- `columns` are all that the project documents, with whether they are personal. -#}
{% macro first_failing_rows(test, columns) -%}
    {%- set types -%}
        select attname, atttypid::regtype::text from pg_attribute
        where attrelid = to_regclass('{{ test.relation_name }}') and attnum > 0 and not attisdropped
        order by attnum
    {%- endset -%}
    {%- set shown, written = [], {} -%}
    {%- for column, type in run_query(types).rows -%}
        {%- set name = test.column_name if column in ('unique_field', 'value_field', 'from_field') else column -%}
        {%- do written.update({name: 'failing.' ~ adapter.quote(column) ~ '::text'}) -%}
        {%- if not columns.get(name, true) and type != 'jsonb' and not type.endswith('[]') -%}
            {%- do shown.append([name, written[name]]) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set query -%}
        select concat_ws(', ', null
            {%- for name, text in shown %},
            '{{ name }} ' || case when {{ likely_personal_value(text) }} is null then left({{ text }}, 80) else '(personal)' end
            {%- endfor %}
        ),
        {{ lines_of_seeds(test, written) }}
        from {{ test.relation_name }} as failing
        limit 3
    {%- endset -%}
    {{ return(run_query(query).rows) }}
{%- endmacro %}
