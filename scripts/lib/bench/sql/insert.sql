-- pgbench: the event of post.lua, one row and one commit each.
\set user_id random(1, 20000)
\set number random(1, 1000000000)
insert into bench_events (payload) values (
    (
        '{"eventType":"task_completed","eventId":"bench-00000000-' || :number || '","userId":'
        || :user_id || ',"activity":{"taskId":"task-123","taskType":"Upload pay stub",'
        || '"durationMs":12345,"device":"mobile","appVersion":"4.12.1","locale":"en-US",'
        || '"screen":"onboarding/checklist","platform":"ios","experiment":"checklist-v3",'
        || '"occurredAt":"2026-06-01T12:34:56.789Z","note":"xxxxxxxxxxxxxxxxx"}}'
    )::jsonb
);
