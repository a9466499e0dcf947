-- Which migrations this schema has had, for a collector to see whether it is of another version.
-- Null where that is not recorded, as after a restore of raw alone.
create function raw.applied_migrations() returns text[]
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
    if to_regclass('public.headwater_migrations') is null then
        return null;
    end if;
    return (select array_agg(name order by name) from public.headwater_migrations);
end
$$;
