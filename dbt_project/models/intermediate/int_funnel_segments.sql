{{
    config(
        unique_key='user_id',
        meta={'changes': 'int_users__changed'},
        indexes=[{'columns': ['user_id']}]
    )
}}

with

changed_users as (

    select * from {{ ref('int_users__changed') }}
    where build_id > {{ low_mark() }}

),

progress as (

    select * from {{ ref('fct_funnel_progress') }}
    where user_id in (select changed_users.user_id from changed_users)

),

events as (

    select * from {{ ref('fct_events') }}
    where user_id in (select changed_users.user_id from changed_users)

),

scores as (

    select * from {{ ref('fct_credit_scores') }}
    where user_id in (select changed_users.user_id from changed_users)

),

segments as (

    select * from {{ ref('segments') }}

),

final as (

    select
        progress_key,
        user_id,
        'all' as segment,
        'all' as segment_value

    from progress

    union all

    select
        progress_key,
        user_id,
        'source' as segment,
        source as segment_value

    from progress

    union all

    select
        progress.progress_key,
        progress.user_id,
        'band' as segment,
        coalesce(scores.band, 'unknown') as segment_value

    from progress

    left join scores
        on
            progress.user_id = scores.user_id
            and progress.started_at >= scores.valid_from
            and (progress.started_at < scores.valid_to or scores.is_current)

    union all

    select
        progress.progress_key,
        progress.user_id,
        segments.segment,
        coalesce(left(events.activity ->> segments.property, 256), 'unknown') as segment_value

    from progress

    inner join events on progress.entry_event_key = events.event_key

    cross join segments

)

select * from final
