delete from {intermediate}.int_events as facts
using staged_events
where staged_events.is_theirs and facts.event_key = staged_events.event_key
