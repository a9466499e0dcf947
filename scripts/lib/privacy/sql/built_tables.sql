-- The tables and views that dbt builds with one row or more per user, event or visitor.
select columns.table_schema, columns.table_name, array_agg(columns.column_name::text order by columns.column_name)
from information_schema.columns
where
    columns.table_schema in ('staging', 'intermediate', 'marts')
    and columns.column_name in ('user_id', 'anonymous_id', 'event_key')
    and columns.table_name not like '%\_\_changed'
    and columns.table_name not in ('stg_events__rejected', 'int_events__usable', 'int_users__updates', 'int_aliases')
group by 1, 2
having bool_or(columns.column_name in ('user_id', 'anonymous_id'))
order by columns.table_schema = 'marts', columns.table_schema, columns.table_name
