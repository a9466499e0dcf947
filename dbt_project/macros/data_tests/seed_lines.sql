{#- Part of a seed: keeps which line of the file each row is from. A text of several lines has as many. -#}
{% macro keep_lines(file) %}
    {%- set rows, line = [], [2] -%}
    {%- for row in file.rows -%}
        {%- set values, breaks = {}, [] -%}
        {%- for name in file.column_names if row[name] is not none -%}
            {%- do values.update({name: row[name] | string}) -%}
            {%- do breaks.append((row[name] | string).count('\n')) -%}
        {%- endfor -%}
        {%- do rows.append({'line': line[0], 'row_values': values}) -%}
        {%- do line.append(line.pop() + 1 + breaks | sum) -%}
    {%- endfor -%}
    {%- do adapter.add_query(
        'insert into ' ~ seed_lines() ~ ' as known values (%s, %s)'
        ~ ' on conflict (seed) do update set file_rows = excluded.file_rows'
        ~ ' where known.file_rows is distinct from excluded.file_rows',
        bindings=[model.name, tojson(rows)], abridge_sql_log=true
    ) -%}
{% endmacro %}


{#-
    Where a failing row stems from a seed: its files and lines, as an expression of SQL that is null where
    it does not. `columns` has by the name of each column of the row how it is written.

    A row of a seed's own test is found by all columns that it has of the seed. Any other one is found by the
    key of a seed upstream of the test, or by as much of it as the row has, its first column at least: by
    `funnel` the lines of a funnel. The keys are the tests `unique` and `unique_combination` of _seeds.yml.
-#}
{% macro lines_of_seeds(test, columns) -%}
    {%- set upstream, places = upstream_of(test.unique_id), [] -%}
    {%- for seed in graph.nodes.values() if seed.resource_type == 'seed' and seed.unique_id in upstream -%}
        {%- set by = [] -%}
        {%- if test.attached_node == seed.unique_id -%}
            {%- do by.extend(seed.columns.keys() | select('in', columns)) -%}
        {%- else -%}
            {%- for key in seed_keys(seed) if not by and key[0] in columns -%}
                {%- do by.extend(key | select('in', columns)) -%}
            {%- endfor -%}
        {%- endif -%}
        {%- if by and adapter.get_relation(seed.database, seed.schema, seed.alias) -%}
            {%- set found -%}
            (
                select {{ dbt.string_literal('dbt_project/' ~ seed.original_file_path ~ ' line') }}
                    || case when count(*) > 1 then 's ' else ' ' end
                    || string_agg(file_rows.line::text, ', ' order by file_rows.line)
                from {{ seed_lines() }} as seed_lines
                cross join jsonb_to_recordset(seed_lines.file_rows) as file_rows (line integer, row_values jsonb)
                cross join jsonb_populate_record(null::{{ seed.relation_name }}, file_rows.row_values) as typed
                where
                    seed_lines.seed = '{{ seed.name }}'
                    {%- for name in by %}
                    and typed.{{ adapter.quote(name) }}::text is not distinct from {{ columns[name] }}
                    {%- endfor %}
            )
            {%- endset -%}
            {%- do places.append(found) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return("concat_ws(', ', " ~ (places or ['null']) | join(', ') ~ ')') }}
{%- endmacro %}


{#- The columns of each key of a seed. -#}
{% macro seed_keys(seed) -%}
    {%- set keys = [] -%}
    {%- for test in graph.nodes.values() if test.resource_type == 'test' and test.attached_node == seed.unique_id -%}
        {%- if test.test_metadata.name == 'unique' -%}
            {%- do keys.append([test.column_name]) -%}
        {%- elif test.test_metadata.name == 'unique_combination' -%}
            {%- do keys.append(test.test_metadata.kwargs.columns) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(keys) }}
{%- endmacro %}
