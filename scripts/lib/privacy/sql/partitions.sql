-- The monthly partitions of raw.events that ended so many days ago, oldest first.
with

partitions as (

    select
        pg_class.relname as name,
        to_date(right(pg_class.relname, 7), 'YYYY_MM') as month
    from pg_inherits
    inner join pg_class on pg_inherits.inhrelid = pg_class.oid
    where
        pg_inherits.inhparent = 'raw.events'::regclass
        and pg_class.relname ~ '^events_[0-9]{4}_[0-9]{2}$'

)

select name from partitions
where (month + interval '1 month') at time zone 'UTC' <= now() - make_interval(days => %(days)s)
order by month
