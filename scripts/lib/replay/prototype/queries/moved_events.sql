-- Each event of the prototype with what the marts have of it or, in `reason`, why they do not.
create temporary table moved_events as

with

-- The name of the key that the events were sent with, by most of the events that agree.
sent as (

    select stg_events.source

    from stg_events

    inner join prototype_events using (event_id, user_id, event_type)

    group by 1

    order by count(*) desc, 1

    limit 1

),

staged as (

    select stg_events.*

    from stg_events

    inner join sent using (source)

),

-- replay writes the eventId first, so that no cut of a long payload loses it.
refused as (

    select
        substring(payload from '"eventId":"([0-9]+)"') as event_id,
        min(code) as code

    from raw.rejected_events

    group by 1

)

select
    prototype_events.*,
    fct_events.event_key,
    fct_events.user_id as mart_user_id,
    fct_events.occurred_at,

    case
        when fct_events.event_key is not null then null
        when staged.rejection_code is not null then 'refused by staging: ' || staged.rejection_code
        when exists (
            select from staged as voids where voids.voids_event_key = staged.event_key
        ) then 'voided'
        when staged.event_key is not null then 'of a source that is for tests'
        when refused.code is not null then 'refused by the collector: ' || refused.code
        else 'not in staging'
    end as reason

from prototype_events

left join staged using (event_id)

left join refused using (event_id)

left join fct_events on staged.event_key = fct_events.event_key;

create unique index on moved_events (event_id);
create index on moved_events (user_id);
analyze moved_events;
