-- How many rows of a partition a target has not read, or does not have.
select count(*)
from raw.{partition} as landed
where
    landed.loaded_xid >= coalesce(
        (select marks.read_below_xid from {staging}.watermarks as marks where marks.model_name = {mark}), '0'
    )
    or not exists (
        select from {staging}.stg_events as staged
        where landed.source = staged.source and landed.event_id = staged.event_id
    )
