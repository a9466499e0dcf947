-- Users in each score band at the end of each day, and payments on it; who has no score is in none.
select
    band,
    band_order,
    day - %(first)s::date as day,
    users,
    payments_made,
    payments_missed

from credit_band_daily

where
    band <> 'unknown'
    and day between %(first)s and %(last)s

order by band_order, day
