-- What logical replication carries to a destination that is another database, see scripts/link:
-- every column of what dbt reads, but for loaded_xid, which the destination stamps itself. Called
-- at the end of every scripts/migrate, so that a new column is carried before any row has it.
create function raw.renew_publication() returns void
language plpgsql as $$
declare
    published text;
begin
    if exists (select from pg_publication where pubname = 'headwater') then
        select string_agg(format('raw.%I (%s)', table_name, column_names), ', ') into published
        from (
            select
                columns.table_name,
                string_agg(quote_ident(columns.column_name), ', ' order by columns.ordinal_position)
                filter (where columns.column_name <> 'loaded_xid') as column_names
            from information_schema.columns
            inner join pg_class on pg_class.oid = format('raw.%I', columns.table_name)::regclass
            where columns.table_schema = 'raw'
                and pg_class.relkind in ('r', 'p')
                and not pg_class.relispartition
            group by columns.table_name
            having bool_or(columns.column_name = 'loaded_xid')
        ) as stamped_tables;
        execute 'alter publication headwater set table ' || published;
    end if;
end
$$;
