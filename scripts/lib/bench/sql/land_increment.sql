-- New events of a tenth of the smaller history's users, five each: 90 %% on the last of 90 days.
-- Their attributes are those of the history. Shorter rows would each go to another page, into the
-- space that the longer ones before them had left.
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
        'userId', user_id,
        'occurredAt', to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'activity', jsonb_build_object(
            'path', '/pricing',
            'taskType', (array['review', 'call', 'verify'])[1 + user_id %% 3],
            'device', (array['mobile', 'desktop', 'tablet'])[1 + user_id %% 3],
            'referrer', (array['https://search.example/', 'https://news.example/'])[1 + user_id %% 2]
        )
    )
from generate_series(0, %(new_events)s::integer - 1) as numbers (n)
cross join
    lateral (
        select 1 + n %% %(new_users)s::integer * (%(users)s::integer / %(new_users)s::integer)
    ) as users (user_id)
cross join
    lateral (
        select
            timestamptz '2026-10-31 00:00+00' + n %% 1440 * interval '1 minute'
            - case when n %% 10 = 0 then n * 31 %% 89 * interval '1 day' else interval '0' end
    ) as moment (at);
