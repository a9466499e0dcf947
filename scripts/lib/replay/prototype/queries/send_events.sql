-- The prototype's events as POST /events takes them. Prisma keeps times in UTC.
select
    id::text as "eventId",
    "eventType",
    "userId",
    to_char("createdAt", 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "occurredAt",
    activity::text as activity

from "Event"

where id > %(after)s

order by id
