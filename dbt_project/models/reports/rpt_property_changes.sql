with

events as (

    select * from {{ ref('fct_events') }}
    where occurred_on > (select max(newest.occurred_on) - 56 from {{ ref('fct_events').render() }} as newest)

),

-- The days on which there were events of a type, counted from 1.
type_days as (

    select
        event_type,
        occurred_on as day,
        row_number() over (partition by event_type order by occurred_on) as place,
        occurred_on = max(max(occurred_on)) over () as is_last

    from events

    group by 1, 2

),

sent as (

    select
        events.event_type,
        properties.property,
        jsonb_typeof(properties.value) as json_type,
        type_days.place

    from events

    inner join type_days on events.event_type = type_days.event_type and events.occurred_on = type_days.day

    cross join jsonb_each(events.activity) as properties (property, value)

    where jsonb_typeof(properties.value) <> 'null'

    group by 1, 2, 3, 4

),

types as (

    select
        event_type,
        property,
        json_type,
        min(place) as first_place

    from sent

    group by 1, 2, 3

),

property_days as (

    select
        event_type,
        property,
        place,
        place - lag(place) over (partition by event_type, property order by place) as step,
        row_number() over (partition by event_type, property order by place) as day_number

    from sent

    group by 1, 2, 3

),

{{ property_changes() }},

final as (

    select
        changes.event_type,
        {{ shown_property('changes.property') }} as property,
        type_days.day as changed_on,
        changes.change,
        string_agg(types.json_type, ', ' order by types.json_type)
        filter (where types.first_place < changes.place) as type_before,
        string_agg(types.json_type, ', ' order by types.json_type)
        filter (where types.first_place = changes.place) as type_after

    from changes

    inner join type_days on changes.event_type = type_days.event_type and changes.place = type_days.place

    inner join types on changes.event_type = types.event_type and changes.property = types.property

    where changes.newest <= 20

    group by changes.event_type, changes.property, 3, 4

)

select * from final
