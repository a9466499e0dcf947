-- The layer `reports`, what site and report read, is handed over like the others.
create or replace function raw.adopt_models() returns void
language plpgsql as $$
declare
    schema record;
    relation record;
begin
    for schema in
        select pg_namespace.nspname as name, pg_namespace.nspowner as owner
        from pg_namespace
        where pg_namespace.nspname in (
            select regexp_replace(tables.schemaname, 'staging$', '') || layer
            from pg_tables as tables
            cross join unnest(
                array['staging', 'intermediate', 'marts', 'reports', 'seeds', 'failing_rows']
            ) as layer
            where tables.schemaname ~ '(^|_)staging$' and tables.tablename = 'watermarks'
        )
    loop
        begin
            if raw.is_to_hand_over(schema.owner) then
                execute format('alter schema %I owner to headwater_transformer', schema.name);
            end if;
            for relation in
                select pg_class.oid::regclass as name
                from pg_class
                where pg_class.relnamespace = to_regnamespace(quote_ident(schema.name))
                    and pg_class.relkind in ('r', 'p', 'v', 'm')
                    and raw.is_to_hand_over(pg_class.relowner)
            loop
                execute format('alter table %s owner to headwater_transformer', relation.name);
            end loop;
        exception
            when insufficient_privilege then
                raise warning '% may not give what is in the schema % to headwater_transformer. Run scripts/migrate as its owner, % (or as a superuser).',
                    current_user, schema.name, schema.owner::regrole;
        end;
    end loop;
end
$$;
