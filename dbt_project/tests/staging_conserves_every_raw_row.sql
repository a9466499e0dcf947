-- Every row of raw.events that was read is one staged event or one counted copy of one. The mark
-- tells how far staging has read; what landed after it is not due yet. Rows that raw no longer has,
-- since they were erased or their partition was dropped, stay staged, also where a source that
-- failed over gave their ids to others.
with

mark as (

    select read_below_xid from {{ watermarks() }}
    where model_name = '{{ ref('stg_events').schema }}.{{ ref('stg_events').identifier }}'

),

raw_rows as (

    select
        source,
        event_id,
        event_row_id

    from {{ source('raw', 'events') }}

    where loaded_xid < (select mark.read_below_xid from mark)

),

staged_rows as (

    select
        events.source,
        events.event_id,
        staged.event_row_id,
        count(*) as times_staged

    from {{ ref('stg_events').render() }} as events

    cross join unnest(events.event_row_id || events.duplicate_row_ids) as staged (event_row_id)

    group by 1, 2, 3

)

select
    raw_rows.event_row_id,
    coalesce(staged_rows.times_staged, 0) as times_staged

from raw_rows

left join staged_rows
    on
        raw_rows.source = staged_rows.source
        and raw_rows.event_id = staged_rows.event_id
        and raw_rows.event_row_id = staged_rows.event_row_id

where staged_rows.times_staged is distinct from 1
