{{
    config(
        unique_key='user_id',
        meta={'changes': 'int_users__changed'},
        indexes=[{'columns': ['user_id']}]
    )
}}

-- noqa: disable=all
-- An expression as the bound of a frame is none that the linter knows, and it stumbles over all that follows.
with

visits as (

    select
        *,
        row_number() over (partition by user_id order by session_number) as visit_number

    from {{ ref('int_sessions') }}

    where
        is_visit
        and {{ is_of_changed_user() }}

),

conversions as (

    select * from {{ ref('int_conversions') }}
    where {{ is_of_changed_user() }}

),

kept as (

    {{ touching_visits('conversions', 'visits') }}

),

final as (

    select
        kept.progress_key,
        kept.user_id,
        kept.funnel,
        kept.converted_at,
        visits.session_key,
        visits.started_at as touched_at,
        coalesce(visits.traffic_source, 'unknown') as traffic_source,
        coalesce(visits.traffic_medium, 'unknown') as traffic_medium,
        coalesce(visits.traffic_campaign, 'unknown') as traffic_campaign,
        row_number() over (partition by kept.progress_key order by kept.visit_number) as touch_number,
        count(*) over (partition by kept.progress_key) as touch_count,
        -- Direct visits get credit only where there are no others.
        visits.traffic_source is distinct from 'direct'
        or bool_and(visits.traffic_source = 'direct') over (partition by kept.progress_key) as is_credited

    from kept

    left join visits on kept.user_id = visits.user_id and kept.visit_number = visits.visit_number

)

select * from final
