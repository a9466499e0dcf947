-- Destinations that read raw from this database by logical replication (scripts/link), and how many
-- bytes of WAL each has yet to confirm.
select
    slot_name::text,
    active,
    wal_status,
    pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint as lag_bytes
from pg_replication_slots
where database = current_database() and starts_with(slot_name::text, 'headwater_')
order by slot_name
