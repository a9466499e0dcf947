{{
    config(
        unique_key='user_id',
        meta={'changes': 'int_users__changed'},
        indexes=[{'columns': ['user_id']}]
    )
}}

with

entries as (

    select * from {{ ref('int_funnel_moves') }}
    where
        step_order = 1
        and {{ is_of_changed_user() }}

),

events as (

    select * from {{ ref('int_events') }}

),

scores as (

    select * from {{ ref('int_credit_scores') }}

),

segments as (

    select * from {{ ref('segments') }}

),

properties as (

    select
        entries.user_id,
        entries.funnel,
        entries.attempt,

        jsonb_object_agg(
            segments.segment,
            coalesce({{ canonical_value('(events.activity -> segments.property)') }}, 'unknown')
        ) as segments

    from entries

    inner join events on entries.event_key = events.event_key

    cross join segments

    group by 1, 2, 3

),

final as (

    select
        entries.user_id,
        entries.funnel,
        entries.attempt,
        jsonb_build_object('all', 'all', 'source', entries.source, 'band', coalesce(score_then.band, 'unknown'))
        || coalesce(properties.segments, '{}'::jsonb) as segments

    from entries

    {{ join_score_at('scores', 'entries.user_id', 'entries.started_at') }}

    left join properties
        on
            entries.user_id = properties.user_id
            and entries.funnel = properties.funnel
            and entries.attempt = properties.attempt

)

select * from final
