with

last_event as (

    select {{ last_event_at() }} as last_event_at

),

events as not materialized (

    select * from {{ ref('fct_events') }}

),

-- Nothing happens after it is received, whatever a client's clock says.
timed as (

    select
        events.event_type,
        last_event.last_event_at,
        least(events.occurred_at, events.received_at) as happened_at

    from last_event

    inner join events on events.occurred_on >= {{ report_date('last_event.last_event_at') }} - 1

),

recent as (

    select
        floor(extract(epoch from last_event_at - happened_at) / 300)::integer * 5 as minutes_before,
        count(*) as events,
        count(*) filter (where event_type in ('page_viewed', 'screen_viewed')) as views

    from timed

    where happened_at > last_event_at - interval '1 hour'

    group by 1

),

final as (

    select
        slots.minutes_before,
        to_char(
            last_event.last_event_at at time zone {{ project_setting('time_zone') }}, 'YYYY-MM-DD HH24:MI'
        ) as until,
        coalesce(recent.events, 0) as events,
        coalesce(recent.views, 0) as views

    from last_event

    cross join generate_series(0, 55, 5) as slots (minutes_before)

    left join recent on slots.minutes_before = recent.minutes_before

)

select * from final
