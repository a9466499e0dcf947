-- Creates or adopts the three roles and grants each what it needs, no more. Called at the end of
-- every scripts/migrate, so that a role made later, or a restored database, gets its grants too.
create function raw.apply_roles() returns void
language plpgsql as $$
declare
    role_name text;
begin
    -- Roles belong to the cluster: another database's migration may be a moment ahead.
    foreach role_name in array
        array['headwater_collector', 'headwater_transformer', 'headwater_analyst']
    loop
        begin
            if to_regrole(role_name) is null then
                execute format('create role %I nologin', role_name);
                if not (select rolsuper from pg_roles where rolname = current_user) then
                    execute format('grant %I to current_user', role_name);
                end if;
            end if;
        exception
            when duplicate_object or unique_violation then
                null;
            when insufficient_privilege then
                raise warning '% may not create the role %. A role that may should run: create role % nologin; grant % to the roles that log in. Then run scripts/migrate again. Until then the login role''s own rights apply.',
                    current_user, role_name, role_name, role_name;
        end;
    end loop;

    if to_regrole('headwater_collector') is not null then
        grant usage on schema raw to headwater_collector;
        grant insert on raw.events, raw.users, raw.user_ids, raw.rejected_events
            to headwater_collector;
        grant select on raw.users, raw.user_ids, raw.api_keys to headwater_collector;
        grant update (email) on raw.user_ids to headwater_collector;
        grant usage on sequence raw.events_event_row_id_seq, raw.user_id_seq
            to headwater_collector;
    end if;

    if to_regrole('headwater_transformer') is not null then
        grant usage on schema raw, secret to headwater_transformer;
        grant select on all tables in schema raw to headwater_transformer;
        revoke all on raw.api_keys from headwater_transformer;
        alter default privileges in schema raw grant select on tables to headwater_transformer;
        grant select on secret.email_hash_key to headwater_transformer;
        begin
            execute format('grant create on database %I to headwater_transformer', current_database());
        exception
            when insufficient_privilege then
                raise warning '% may not grant create on the database: its owner should run: grant create on database % to headwater_transformer',
                    current_user, current_database();
        end;
    end if;
end
$$;

comment on function raw.apply_roles is
    'Roles: headwater_collector lands rows, headwater_transformer (dbt) reads them and owns the marts, headwater_analyst sees nothing here.';
