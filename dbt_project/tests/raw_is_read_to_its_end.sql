{{ config(severity='warn') }}

-- Rows that landed more than an hour before the build and that no build has read, with whoever
-- keeps them from being read.
select *

from {{ ref('stg_raw_lag') }}

where oldest_received_at < {{ as_of() }} - interval '1 hour'
