-- Tables that dbt makes of staging, in the target of a developer: {name} is that of its staging.
select format('%I.%I', schemaname, tablename)
from pg_tables
where
    schemaname in (
        select regexp_replace({name}, 'staging$', layers.layer)
        from unnest(array['staging', 'intermediate', 'marts', 'failing_rows']) as layers (layer)
    )
    and tablename not in ('stg_events', 'stg_users', 'builds', 'watermarks')
order by 1
