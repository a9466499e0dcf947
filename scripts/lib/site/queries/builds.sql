-- The newest builds, and how many incremental models each was the last to advance.
select
    builds.invocation_id,
    builds.as_of,
    builds.started_at,
    count(watermarks.model_name) as models

from builds

left join watermarks using (build_id)

group by builds.build_id, builds.invocation_id, builds.as_of, builds.started_at

order by builds.build_id desc

limit 20
