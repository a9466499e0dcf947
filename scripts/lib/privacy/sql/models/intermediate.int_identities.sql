-- Whom no event names any more. Of others who were named with them, staging says that they changed.
with

visitors as materialized (

    select array_agg(distinct named.anonymous_id) as anonymous_ids
    from staged_events
    cross join unnest(staged_events.anonymous_ids) as named (anonymous_id)

)

delete from {intermediate}.int_identities
where
    anonymous_id = any((select visitors.anonymous_ids from visitors)::text[])
    and anonymous_id not in (
        select named.anonymous_id
        from {staging}.stg_events as staged
        cross join unnest(staged.other_anonymous_ids || staged.anonymous_id || staged.aliased_ids) as named (anonymous_id)
        where
            named.anonymous_id is not null
            and (
                staged.anonymous_id = any((select visitors.anonymous_ids from visitors)::text[])
                or staged.aliased_ids || staged.other_anonymous_ids && (select visitors.anonymous_ids from visitors)
            )
    )
