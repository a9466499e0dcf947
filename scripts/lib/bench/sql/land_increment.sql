-- New events of a tenth of the smaller history's users, five each: 90 %% on the last of 90 days.
insert into raw.events (received_at, source, event_id, payload)
select
    timestamptz '2026-11-01 00:00+00',
    'default',
    'new-' || %(batch)s::text || '-' || n,
    jsonb_build_object(
        'eventId', 'new-' || %(batch)s::text || '-' || n,
        'eventType', (array[
            'page_viewed', 'page_viewed', 'application_accepted', 'payment_made', 'task_scheduled'
        ])[1 + n / %(new_users)s::integer %% 5],
        'userId', 1 + n %% %(new_users)s::integer * (%(users)s::integer / %(new_users)s::integer),
        'occurredAt', to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'activity', jsonb_build_object('path', '/', 'taskType', 'review')
    )
from generate_series(0, %(new_events)s::integer - 1) as numbers (n)
cross join
    lateral (
        select
            timestamptz '2026-10-31 00:00+00' + n %% 1440 * interval '1 minute'
            - case when n %% 10 = 0 then n * 31 %% 89 * interval '1 day' else interval '0' end
    ) as moment (at);
