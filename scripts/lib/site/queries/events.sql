-- Events by day, with the last receipt: the window of the site, its size and its freshness.
select
    source,
    event_subject,
    occurred_on as day,
    count(*) as events,
    max(received_at) as last_received_at

from fct_events

group by 1, 2, 3

order by 3, 1, 2
