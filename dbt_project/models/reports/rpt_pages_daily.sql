with

events as not materialized (

    select * from {{ ref('fct_events') }}
    where event_type in ('page_viewed', 'screen_viewed') and is_interaction

),

attributes as not materialized (

    select * from {{ ref('fct_event_attributes') }}
    where (event_type, property) in (('page_viewed', 'path'), ('screen_viewed', 'screen'))

),

sessions as not materialized (

    select * from {{ ref('fct_sessions') }}
    where is_visit

),

views as (

    select
        coalesce(nullif(attributes.text_value, ''), '(none)') as path,
        events.occurred_on as day,
        count(*) as views

    from events

    left join attributes using (event_key)

    group by 1, 2

),

counts as (

    select
        path,
        day,
        views,
        0 as entries,
        0 as exits

    from views

    union all

    select
        ends.path,
        sessions.started_on as day,
        0 as views,
        ends.entries,
        ends.exits

    from sessions

    cross join lateral (values (sessions.entry_path, 1, 0), (sessions.exit_path, 0, 1)) as ends (path, entries, exits)

    where ends.path is not null

),

labels as (

    select
        path,
        {{ with_other('path', 11, 'sum(views)') }} as label

    from counts

    group by 1

),

final as (

    select
        labels.label as path,
        counts.day,
        sum(counts.views)::bigint as views,
        sum(counts.entries)::bigint as entries,
        sum(counts.exits)::bigint as exits

    from counts

    inner join labels using (path)

    group by 1, 2

)

select * from final
