-- The newest state of each user: per property the value of its latest row, nulls counting as
-- absent. The userId is as the client sent it; one that was made here is a number. Of properties
-- that take more than max_bytes as text, those that were set the longest ago are left out.
select
    user_ids.user_id,
    convert_to(
        (
            case
                when state.properties ? 'userId' then '{{}}'
                else jsonb_build_object('userId', user_ids.user_id::bigint)
            end || state.properties
        )::text,
        'UTF8'
    ) as json
from raw.user_ids
cross join lateral (
    select coalesce(jsonb_object_agg(sized.key, sized.value), '{{}}') as properties
    from (
        select
            latest.key,
            latest.value,
            sum(octet_length(latest.key) + octet_length(latest.value::text)) over (
                order by latest.key <> 'userId', latest.occurred_at desc, latest.user_row_id desc, latest.key
            ) as bytes
        from (
            select distinct on (property.key)
                property.key, property.value, users.occurred_at, users.user_row_id
            from raw.users
            cross join jsonb_each(users.payload) as property
            where users.user_id = user_ids.user_id
                and property.key not in ('occurredAt', 'segmentSentAt')
                and property.value <> 'null'
            order by property.key, users.occurred_at desc, users.user_row_id desc
        ) as latest
    ) as sized
    where sized.bytes <= %(max_bytes)s
) as state
where {condition}
order by user_ids.user_number
limit %(limit)s
