with

events as (

    select * from {{ ref('fct_events') }}

),

final as (

    select
        1 as total_key,
        count(*) as events,
        count(distinct user_id) as users,
        min(occurred_on) as first_on,
        max(occurred_on) as last_on,
        {{ project_setting('time_zone') }} as time_zone

    from events

)

select * from final
