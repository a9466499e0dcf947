with

events as not materialized (

    select * from {{ ref('fct_events') }}

),

sessions as not materialized (

    select * from {{ ref('fct_sessions') }}
    where is_visit

),

attempts as not materialized (

    select * from {{ ref('fct_funnel_progress') }}

),

tasks as not materialized (

    select * from {{ ref('fct_tasks') }}

),

scores as not materialized (

    select * from {{ ref('fct_credit_scores') }}

),

entries as (

    select
        user_id,
        occurred_at as happened_at,
        'event' as kind,
        event_type as what,
        left(activity ->> 'path', 80) as detail

    from events

    union all

    select
        user_id,
        started_at as happened_at,
        'visit' as kind,
        traffic_source as what,
        'views: ' || view_count as detail

    from sessions

    union all

    select
        user_id,
        started_at as happened_at,
        'attempt' as kind,
        funnel as what,
        furthest_step || ', ' || outcome as detail

    from attempts

    union all

    select
        user_id,
        opened_at as happened_at,
        'task' as kind,
        task_type as what,
        status as detail

    from tasks

    union all

    select
        user_id,
        valid_from as happened_at,
        'score' as kind,
        band as what,
        to_char(score - previous_score, 'SG999') as detail

    from scores

),

numbered as (

    select
        *,
        row_number() over (partition by user_id order by happened_at desc, kind asc, what asc, detail asc) as place

    from entries

),

final as (

    select
        user_id,
        {{ user_key('user_id') }} as user_key,
        place,
        extract(epoch from happened_at at time zone {{ project_setting('time_zone') }})::bigint as seconds,
        kind,
        what,
        coalesce(detail, '') as detail

    from numbered

    where place <= 60

)

select * from final
