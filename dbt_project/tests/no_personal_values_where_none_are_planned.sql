{{ config(severity='warn') }}

-- Values of the newest events that look like an email address, a phone or a card number, in ids, in
-- paths and in properties that the tracking plan does not give a `pii_class`: how many, and where.
-- Says no value: a name that looks like one is `(hidden)`.
with

mark as (

    select build_id from {{ watermarks() }}
    where model_name = '{{ ref('stg_events').schema }}.{{ ref('stg_events').identifier }}'

),

events as (

    select * from {{ ref('stg_events') }}
    where build_id = (select mark.build_id from mark)

),

personal_properties as (

    select
        event_type,
        property

    from {{ ref('event_properties') }}

    where pii_class <> 'none'

),

texts as (

    select
        event_type,
        'userId' as place,
        user_id as value

    from events

    union all

    select
        event_type,
        'anonymousId' as place,
        anonymous_id as value

    from events

    union all

    select
        events.event_type,
        'activity.' || left(properties.property, 64) as place,
        properties.value

    from events

    cross join jsonb_each_text(events.activity) as properties (property, value)

    where
        not exists (
            select 1 from personal_properties
            where
                events.event_type = personal_properties.event_type
                and properties.property = personal_properties.property
        )

),

likely as (

    select
        event_type,
        place,
        {{ likely_personal_value('value') }} as kind,
        {{ likely_personal_value('place') }} is not null as is_place_personal

    from texts

),

final as (

    select
        event_type,
        case when is_place_personal then '(hidden)' else place end as place,
        kind,
        count(*) as values_found

    from likely

    where kind is not null

    group by 1, 2, 3

)

select * from final
