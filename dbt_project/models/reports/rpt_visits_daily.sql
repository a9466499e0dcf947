with

visits as not materialized (

    select * from {{ ref('fct_sessions') }}
    where is_visit

),

labels as (

    select
        traffic_source,
        {{ with_other('traffic_source', 11, 'count(*)') }} as label

    from visits

    group by 1

),

final as (

    select
        labels.label as traffic_source,
        visits.started_on as day,
        count(*) as visits,
        count(*) filter (where visits.is_bounce) as bounces,
        sum(visits.view_count)::bigint as views,
        round(sum(visits.duration_seconds))::bigint as visit_seconds

    from visits

    inner join labels using (traffic_source)

    group by 1, 2

)

select * from final
