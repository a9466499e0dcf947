-- Refused events by day of receipt and reason.
select
    rejection_code,
    day - %(first)s::date as day,
    sum(events_rejected)::bigint as events_rejected

from rejection_reasons_daily

where events_rejected > 0 and day >= %(first)s

group by 1, 2

order by 1, 2
