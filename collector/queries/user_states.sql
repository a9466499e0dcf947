-- The newest state of each user: per property the value of its latest row, nulls counting as
-- absent. The userId is as the client sent it; one that was made here is a number.
select
    user_ids.user_id,
    (
        case
            when state.properties ? 'userId' then '{{}}'
            else jsonb_build_object('userId', user_ids.user_id::bigint)
        end || state.properties
    )::text as json
from raw.user_ids
cross join lateral (
    select
        coalesce(
            jsonb_object_agg(property.key, property.value order by occurred_at, user_row_id), '{{}}'
        ) as properties
    from raw.users
    cross join jsonb_each(users.payload) as property
    where users.user_id = user_ids.user_id
        and property.key not in ('occurredAt', 'segmentSentAt')
        and property.value <> 'null'
) as state
where {condition}
order by user_ids.user_number
limit %(limit)s
