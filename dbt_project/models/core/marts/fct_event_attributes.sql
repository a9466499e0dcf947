{{ config(materialized='view') }}

with

events as (

    select * from {{ ref('int_events') }}

),

properties as (

    select * from {{ ref('event_properties') }}

),

attributes as (

    select
        events.event_key,
        events.event_type,
        events.occurred_on,
        properties.property,
        properties.data_type,
        properties.is_required,
        properties.pii_class,
        events.activity -> properties.property as sent_value

    from events

    inner join properties on events.event_type = properties.event_type

),

typed as (

    select
        *,

        case
            when data_type = 'text' and jsonb_typeof(sent_value) = 'string'
                then left(sent_value #>> '{}', 256)
        end as text_value,
        case when data_type = 'numeric' then {{ json_numeric('sent_value') }} end as numeric_value,
        case
            when data_type = 'boolean' and jsonb_typeof(sent_value) = 'boolean' then sent_value::boolean
        end as boolean_value,
        case when data_type = 'timestamp' then {{ json_timestamptz('sent_value') }} end as timestamp_value,
        coalesce(jsonb_typeof(sent_value), 'null') = 'null' as is_missing

    from attributes

    -- What identifies somebody directly is not in the activity any more, and so cannot be checked.
    where pii_class <> 'direct_identifier'

),

final as (

    select
        event_key,
        event_type,
        occurred_on,
        property,
        data_type,
        case when pii_class = 'none' then text_value end as text_value,
        case when pii_class = 'none' then numeric_value end as numeric_value,
        case when pii_class = 'none' then boolean_value end as boolean_value,
        case when pii_class = 'none' then timestamp_value end as timestamp_value,
        case
            when is_missing and is_required then 'missing'
            when not is_missing and num_nonnulls(text_value, numeric_value, boolean_value, timestamp_value) = 0
                then 'wrong_type'
        end as violation

    from typed

    where is_required or not is_missing

)

select * from final
