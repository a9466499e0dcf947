{{
    config(
        materialized='incremental',
        unique_key='user_id',
        meta={'changes': 'int_users__changed'},
        indexes=[{'columns': ['user_id']}, {'columns': ['funnel', 'converted_on']}]
    )
}}

with

changed_users as not materialized (

    select * from {{ ref('int_users__changed') }}
    where build_id > {{ low_mark() }}

),

conversions as (

    select * from {{ ref('fct_funnel_progress') }}
    where
        is_converted
        and user_id in (select changed_users.user_id from changed_users)

),

sessions as (

    select * from {{ ref('fct_sessions') }}
    where user_id in (select changed_users.user_id from changed_users)

),

-- A conversion that no session came before keeps one row, so that credits add up to conversions.
touches as (

    select
        conversions.progress_key,
        conversions.user_id,
        conversions.funnel,
        conversions.converted_at,
        sessions.session_key,
        sessions.started_at as touched_at,
        coalesce(sessions.traffic_source, 'unknown') as traffic_source,
        coalesce(sessions.traffic_medium, 'unknown') as traffic_medium,
        coalesce(sessions.traffic_campaign, 'unknown') as traffic_campaign,
        row_number() over (partition by conversions.progress_key order by sessions.session_number) as touch_number,
        count(*) over (partition by conversions.progress_key) as touch_count

    from conversions

    left join sessions
        on
            conversions.user_id = sessions.user_id
            and conversions.converted_at >= sessions.started_at
            and sessions.started_at
            >= conversions.converted_at
            - {{ project_setting('attribution_window_days') }}::integer * interval '24 hours'

),

final as (

    select
        {{ surrogate_key(['progress_key', 'session_key']) }} as attribution_key,
        progress_key,
        session_key,
        user_id,
        funnel,
        {{ report_date('converted_at') }} as converted_on,
        converted_at,
        touched_at,
        touch_number,
        touch_count,
        traffic_source,
        traffic_medium,
        traffic_campaign,
        (touch_number = 1)::integer as first_touch_credit,
        (touch_number = touch_count)::integer as last_touch_credit,
        -- The last touch takes what rounding leaves, so that the credits add up to 1.
        case
            when touch_number = touch_count then 1 - (touch_count - 1) * round(1.0 / touch_count, 6)
            else round(1.0 / touch_count, 6)
        end as linear_credit

    from touches

)

select * from final
