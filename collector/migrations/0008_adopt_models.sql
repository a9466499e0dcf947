-- dbt takes headwater_transformer where it may. What was built before by the role that it logs in
-- as (an earlier version, a bare `dbt build`, a restore) is handed over, in the schemas of every
-- target: each has its layers beside the `staging` that holds the marks of the builds. Called at
-- the end of every scripts/migrate.
create function raw.adopt_models() returns void
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
                array['staging', 'intermediate', 'marts', 'seeds', 'failing_rows']
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

-- A role that may not become headwater_transformer goes on building for itself.
create function raw.is_to_hand_over(owner oid) returns boolean
language sql stable as $$
    select coalesce(
        owner <> to_regrole('headwater_transformer')
        and pg_has_role(owner, to_regrole('headwater_transformer'), 'member'),
        false
    )
$$;
