{#- Part of the end of every build: notes the columns of the marts that are others since the one before. -#}
{% macro note_columns() %}
    with present as (
        select
            pg_class.relname::text as mart,
            pg_attribute.attname::text as column_name,
            format_type(pg_attribute.atttypid, pg_attribute.atttypmod) as data_type
        from pg_attribute
        inner join pg_class on pg_attribute.attrelid = pg_class.oid
        where
            pg_class.relnamespace = to_regnamespace('{{ generate_schema_name('marts', none) }}')
            and pg_class.relkind in ('r', 'v', 'm')
            and pg_class.relname !~ '__dbt_(tmp|backup)'
            and pg_attribute.attnum > 0
            and not pg_attribute.attisdropped
    ),
    ended as (
        update {{ mart_columns() }} as known set until_build_id = {{ build_id() }}
        where
            known.until_build_id is null
            and (known.mart, known.column_name, known.data_type) not in (
                select present.mart, present.column_name, present.data_type from present
            )
    )
    insert into {{ mart_columns() }} (mart, column_name, data_type, since_build_id)
    select present.mart, present.column_name, present.data_type, {{ build_id() }} from present
    where
        (present.mart, present.column_name, present.data_type) not in (
            select known.mart, known.column_name, known.data_type from {{ mart_columns() }} as known
            where known.until_build_id is null
        );
{% endmacro %}
