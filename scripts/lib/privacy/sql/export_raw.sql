-- What raw holds of the noted rows, oldest first.
select
    case when noted.is_theirs then 'events' else 'eventsOfOthersThatMentionThem' end as part,
    case
        when noted.is_theirs then to_jsonb(events) - 'loaded_xid'
        else jsonb_build_object('received_at', events.received_at, 'event_row_id', events.event_row_id)
    end as held,
    events.received_at,
    noted.row_id
from secret.erasing_rows as noted
inner join raw.events
    on noted.table_name = 'events' and events.event_row_id = noted.row_id
    and events.source = noted.source and events.event_id = noted.event_id
where noted.erasure_id = 0

union all

select
    case when noted.is_theirs then 'users' else 'usersThatMentionThem' end as part,
    case
        when noted.is_theirs then to_jsonb(users) - 'loaded_xid'
        else jsonb_build_object('received_at', users.received_at, 'user_row_id', users.user_row_id)
    end as held,
    users.received_at,
    noted.row_id
from secret.erasing_rows as noted
inner join raw.users on noted.table_name = 'users' and users.user_row_id = noted.row_id
where noted.erasure_id = 0

union all

select
    'refused' as part,
    to_jsonb(rejected_events) - 'loaded_xid' as held,
    rejected_events.received_at,
    noted.row_id
from secret.erasing_rows as noted
inner join raw.rejected_events
    on noted.table_name = 'rejected_events' and rejected_events.rejected_row_id = noted.row_id
where noted.erasure_id = 0

union all

select
    'optOuts' as part,
    to_jsonb(opt_outs) - 'loaded_xid' as held,
    opt_outs.received_at,
    opt_outs.opt_out_row_id
from raw.opt_outs
inner join named_people as people on opt_outs.id_kind = people.kind and opt_outs.id = people.id

union all

select
    'accounts' as part,
    to_jsonb(user_ids) as held,
    user_ids.created_at,
    user_ids.user_number
from raw.user_ids
where
    user_ids.user_id in (select people.id from named_people as people where people.kind = 'user')
    or user_ids.email in (select people.id from named_people as people where people.kind = 'email')

order by 1, 3, 4
