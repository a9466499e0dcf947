-- The prototype's users as POST /users takes them. Prisma keeps times in UTC.
select
    id as "userId",
    email,
    name,
    "ficoScore",
    to_char("createdAt", 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "occurredAt"

from "User"

where id > %(after)s

order by id
