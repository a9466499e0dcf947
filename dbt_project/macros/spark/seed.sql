{#- dbt's own puts texts between quotes as they are, with quotes in them. -#}
{% macro spark__load_csv_rows(model, agate_table) %}
    {%- set types = model.config.get('column_types', {}) -%}
    {%- set statement -%}
        insert into {{ this }} values
        {%- for row in agate_table.rows %}
        (
            {%- for name in agate_table.column_names -%}
            cast(
                {%- if row[name] is none -%}
                null
                {%- else -%}
                '{{ row[name] | string | replace('\\', '\\\\') | replace("'", "\\'") }}'
                {%- endif %} as {{ types.get(name, adapter.convert_type(agate_table, loop.index0)) }}) {{- ', ' if not loop.last }}
            {%- endfor -%}
        ) {{- ',' if not loop.last }}
        {%- endfor %}
    {%- endset -%}
    {%- do adapter.add_query(statement, abridge_sql_log=true) if agate_table.rows | length > 0 -%}
    {{ return(statement) }}
{% endmacro %}
