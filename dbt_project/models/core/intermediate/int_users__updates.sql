{{ config(materialized='view') }}

-- Without CTEs: PostgreSQL joins by index only into a view that has no `with` of its own. Rendered,
-- since `--empty` would put an alias of its own after a table.
select user_updates.*

from {{ ref('stg_users').render() }} as user_updates

left join {{ ref('sources').render() }} as sources on user_updates.source = sources.source

where
    not coalesce(sources.is_test, false)
    and {{ legal_id('user_updates.user_id') }} is not null
    and not {{ is_opted_out('user_updates.user_id', 'user_updates.received_at') }}
