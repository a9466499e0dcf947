delete from {intermediate}.int_aliases as aliases
using staged_events
where staged_events.is_theirs and aliases.event_key = staged_events.event_key
