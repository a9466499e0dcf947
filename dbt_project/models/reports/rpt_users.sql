with

users as (

    select * from {{ ref('dim_users') }}

),

profiles as (

    select * from {{ ref('rpt_credit_profiles') }}

),

overdue as (

    select * from {{ ref('rpt_tasks_overdue') }}

),

ranked as (

    select
        *,
        row_number() over (order by last_seen_at desc, user_id asc) as place

    from users

),

final as (

    select
        user_id,
        {{ user_key('user_id') }} as user_key,
        place <= 60
        or user_id in (select profiles.user_id from profiles)
        or user_id in (select overdue.user_id from overdue) as is_notable,
        first_source as source,
        coalesce(score_band, 'unknown') as band,
        event_count,
        {{ report_date('first_seen_at') }} as first_seen_on,
        {{ report_date('last_seen_at') }} as last_seen_on

    from ranked

)

select * from final
