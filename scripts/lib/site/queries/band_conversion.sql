-- Attempts and conversions by the score band in which the attempt began.
select
    funnel,
    segment_value as band,
    cohort_on - %(first)s::date as day,
    max(entered) as entered,
    min(reached) as converted

from conversion_funnel_daily

where
    segment = 'band'
    and cohort_on between %(first)s and %(last)s

group by 1, 2, 3

order by 1, 2, 3
