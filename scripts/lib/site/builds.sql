-- The newest builds, and how many incremental models each was the last to advance.
select
    builds.invocation_id,
    greatest(builds.as_of, builds.checked_at) as as_of,
    builds.started_at,
    builds.finished_at,
    builds.failures,
    builds.is_whole,
    count(watermarks.model_name) as models

from builds

left join watermarks using (build_id)

group by 1, 2, 3, 4, 5, 6, builds.build_id

order by builds.build_id desc

limit 20
