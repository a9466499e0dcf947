{{ config(severity='warn') }}

-- What differs under one key is to be mended where it is sent: nothing here.
select
    event_key,
    source,
    event_id,
    event_type

from {{ ref('fct_events') }}

where has_conflict
