-- Every row of raw.events that was read is one staged event or a counted copy of one.
-- The mark tells how far staging has read; what landed after it is not due yet.
with

mark as (

    select read_below_xid from {{ watermarks() }}
    where model_name = '{{ ref('stg_events').schema }}.{{ ref('stg_events').identifier }}'

),

raw_rows as (

    select count(*) as row_count

    from {{ source('raw', 'events') }}

    where loaded_xid < (select mark.read_below_xid from mark)

),

voids as (

    select voids_event_key from {{ ref('stg_events') }}
    where
        voids_event_key is not null
        and rejection_code is null

),

classified as (

    select
        cardinality(duplicate_row_ids) as duplicates,
        case
            when rejection_code is not null then 'rejected'
            when event_key in (select voids.voids_event_key from voids) then 'voided'
            else 'usable'
        end as fate

    from {{ ref('stg_events') }}

),

staged as (

    select
        count(*) filter (where fate = 'rejected') as rejected,
        count(*) filter (where fate = 'voided') as voided,
        count(*) filter (where fate = 'usable') as usable,
        coalesce(sum(duplicates), 0) as duplicates

    from classified

)

select
    raw_rows.row_count,
    staged.rejected,
    staged.voided,
    staged.usable,
    staged.duplicates

from raw_rows

cross join staged

where raw_rows.row_count <> staged.rejected + staged.voided + staged.usable + staged.duplicates
