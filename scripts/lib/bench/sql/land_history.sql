-- Each user goes through ten events, one every one or two days, beginning on one of 70 days; one in
-- five converts at the end.
insert into raw.users (received_at, occurred_at, source, user_id, payload)
select
    at,
    at,
    'default',
    user_id::text,
    jsonb_build_object('ficoScore', 300 + user_id %% 550)
from generate_series(1, %(users)s::integer) as users (user_id)
cross join
    lateral (
        select timestamptz '2026-08-03 00:00+00' + user_id * 7919::bigint %% (70 * 1440) * interval '1 minute'
    ) as start (at);

insert into raw.events (received_at, source, event_id, payload)
select
    at + interval '1 second',
    'default',
    user_id || '-' || step,
    jsonb_build_object(
        'eventId', user_id || '-' || step,
        'eventType', (array[
            'user_signed_up', 'page_viewed', 'page_viewed', 'application_submitted',
            'application_partly_submitted', 'task_scheduled', 'task_started', 'task_completed',
            'application_preaccepted', case when user_id %% 5 = 0 then 'conversion' else 'payment_made' end
        ])[step],
        'userId', user_id,
        'occurredAt', to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
        'activity', jsonb_build_object(
            'path', '/pricing',
            'taskType', (array['review', 'call', 'verify'])[1 + user_id %% 3],
            'device', (array['mobile', 'desktop', 'tablet'])[1 + user_id %% 3],
            'referrer', (array['https://search.example/', 'https://news.example/'])[1 + user_id %% 2]
        )
    )
from generate_series(1, %(users)s::integer) as users (user_id)
cross join generate_series(1, 10) as steps (step)
cross join
    lateral (
        select
            timestamptz '2026-08-03 00:00+00' + user_id * 7919::bigint %% (70 * 1440) * interval '1 minute'
            + step * (1 + user_id %% 2) * interval '23 hours'
    ) as start (at)
order by at;
