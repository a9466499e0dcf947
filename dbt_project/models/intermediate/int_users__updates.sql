{{ config(materialized='view') }}

-- Without CTEs, which would keep PostgreSQL from joining into the view by index.
select user_updates.*

from {{ ref('stg_users') }} as user_updates

left join {{ ref('sources') }} as sources on user_updates.source = sources.source

where not coalesce(sources.is_test, false)
