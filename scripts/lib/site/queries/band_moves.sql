-- Changes from one score band to another. The connection's time zone is the reporting one.
select
    previous_band,
    band,
    valid_from::date - %(first)s::date as day,
    count(*) as moves

from fct_credit_scores

where
    previous_band <> band
    and valid_from::date between %(first)s and %(last)s

group by 1, 2, 3

order by 1, 2, 3
