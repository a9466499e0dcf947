with

attributes as (

    select * from {{ ref('fct_event_attributes') }}
    where property in ('path', 'screen') and event_type in ('page_viewed', 'screen_viewed')

),

sessions as not materialized (

    select * from {{ ref('fct_sessions') }}
    where is_visit

),

views as (

    select
        text_value as path,
        occurred_on as day,
        count(*) as views

    from attributes

    where text_value <> ''

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
        entry_path as path,
        started_on as day,
        0 as views,
        count(*) as entries,
        0 as exits

    from sessions

    where entry_path is not null

    group by 1, 2

    union all

    select
        exit_path as path,
        started_on as day,
        0 as views,
        0 as entries,
        count(*) as exits

    from sessions

    where exit_path is not null

    group by 1, 2

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
