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

changed_users as not materialized (

    select * from {{ ref('int_users__changed') }}
    where build_id > {{ low_mark() }}

),

visits as (

    select
        *,
        row_number() over (partition by user_id order by session_number) as visit_number

    from {{ ref('int_sessions') }}

    where
        is_visit
        and user_id in (select changed_users.user_id from changed_users)

),

-- Visits and conversions on one line of time, so that each is looked at once, however many there are.
moments as (

    select
        user_id,
        converted_at as moment,
        progress_key,
        funnel,
        null::bigint as visit_number,
        null::bigint as non_direct_visit_number

    from {{ ref('int_conversions') }}

    where user_id in (select changed_users.user_id from changed_users)

    union all

    select
        user_id,
        started_at as moment,
        null as progress_key,
        null as funnel,
        visit_number,
        case when traffic_source <> 'direct' then visit_number end as non_direct_visit_number

    from visits

),

-- A visit that begins at the very moment of the conversion is before it.
paths as (

    select
        *,

        count(visit_number) over until_now as last_visit,
        max(non_direct_visit_number) over until_now as last_non_direct_visit,
        count(visit_number) over (
            partition by user_id
            order by moment
            range between {{ project_setting('attribution_window_days') }}::integer * interval '24 hours' preceding
            and current row
        ) as visits_in_window

    from moments

    window until_now as (partition by user_id order by moment)

),

-- The first, the newest, and the newest that is not direct: what the rules ask for.
kept as (

    select
        paths.progress_key,
        paths.user_id,
        paths.funnel,
        paths.moment as converted_at,
        numbers.visit_number

    from paths

    left join lateral (
        select paths.last_visit - paths.visits_in_window + 1 as visit_number
        where paths.visits_in_window > 0

        union

        select paths.last_non_direct_visit as visit_number
        where paths.last_non_direct_visit > paths.last_visit - paths.visits_in_window

        union

        select newest.visit_number
        from generate_series(
            paths.last_visit
            - least(
                paths.visits_in_window,
                greatest({{ project_setting('attribution_max_touches') }}::integer - 2, 1)
            ) + 1,
            paths.last_visit
        ) as newest (visit_number)
    ) as numbers on true

    where paths.progress_key is not null

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

    left join visits using (user_id, visit_number)

)

select * from final
