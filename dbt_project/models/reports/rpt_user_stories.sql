-- Of what a story is told: where, when, as what, of which one, and with which detail.
{%- set chapters = [
    ('events', 'occurred_at', 'event', 'event_type', "left(activity ->> 'path', 80)"),
    ('sessions', 'started_at', 'visit', 'traffic_source', "'views: ' || view_count"),
    ('attempts', 'started_at', 'attempt', 'funnel', "furthest_step || ', ' || outcome"),
    ('tasks', 'opened_at', 'task', 'task_type', 'status'),
    ('scores', 'valid_from', 'score', 'band', "to_char(score - previous_score, 'SG999')"),
] %}

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

    {%- for relation, happened_at, kind, what, detail in chapters %}

    select
        user_id,
        {{ happened_at }} as happened_at,
        '{{ kind }}' as kind,
        {{ what }} as what,
        {{ detail }} as detail

    from {{ relation }}
    {%- if not loop.last %}

    union all
    {%- endif %}
    {%- endfor %}

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
