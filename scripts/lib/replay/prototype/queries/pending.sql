-- What the prototype has and staging has not: to be built, where it was not refused.
select (
    select count(*) from prototype_events
    where not exists (select from stg_events where stg_events.event_id = prototype_events.event_id)
) + (
    select count(*) from prototype_users
    where not exists (select from stg_users where stg_users.user_id = prototype_users.user_id)
)
