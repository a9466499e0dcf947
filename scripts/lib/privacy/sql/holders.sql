-- Whose transactions use raw.events or a partition of it.
select string_agg(
    distinct format('backend %s (%s, %s)', activity.pid, activity.usename, activity.application_name), ', '
)
from pg_locks as locks
inner join pg_stat_activity as activity on locks.pid = activity.pid
where
    locks.granted
    and locks.pid <> pg_backend_pid()
    and locks.database = (select pg_database.oid from pg_database where pg_database.datname = current_database())
    and locks.relation in (
        select 'raw.events'::regclass
        union all
        select pg_inherits.inhrelid from pg_inherits
        where pg_inherits.inhparent = 'raw.events'::regclass
    )
