-- After a build of everything nobody reads any more who changed, nor which values went.
with

people as materialized (

    select
        case
            when kind = 'anonymous' then 'anonymous:' || id
            else id
        end as user_id
    from people_in_marts
    where kind <> 'email'

),

forgotten_users as (

    delete from {intermediate}.int_users__changed
    where user_id in (select people.user_id from people)

),

forgotten_names as (

    update {intermediate}.int_identities
    set seen_user_ids = array(
        select seen.user_id from unnest(int_identities.seen_user_ids) as seen (user_id)
        where seen.user_id not in (select people.user_id from people)
    )
    where seen_user_ids && (select array_agg(people.user_id) from people)

)

delete from {staging}.changed_rows;

-- Counts of values that nobody has any more, where funnels are built: one may have been theirs alone.
do $$
begin
    delete from {intermediate}.int_funnel_segment_values where attempts = 0;
exception when undefined_table then
    null;
end $$;
