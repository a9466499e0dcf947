{{
    config(
        unique_key=['funnel', 'cohort_on', 'step_order'],
        meta={'changes_of': 'fct_funnel_progress', 'keeps_emptied': true},
        indexes=[{'columns': ['cohort_on']}]
    )
}}

{%- set seconds_to_reach = 'extract(epoch from attempts.reached_at[changed_steps.step_order] - attempts.started_at)' %}

with

changes as (

    select * from {{ changes_of('fct_funnel_progress') }}

),

attempts as (

    select * from {{ ref('int_funnel_attempts__segmented') }}

),

others as (

    select * from {{ ref('int_funnel_segment_values') }}
    where is_other and cohort_on in (select changes.cohort_on from changes)

),

funnel_steps as (

    select * from {{ ref('funnels') }}
    where step_order is not null

),

-- What attempts came to, or no longer do; what came as it went is no change.
changed_times as (

    select
        changes.funnel,
        changes.cohort_on,
        steps.step_order

    from changes

    cross join unnest(changes.reached_at) with ordinality as steps (reached_at, step_order)

    {%- if continues() %}

    group by 1, 2, 3, changes.user_id, {{ comparable_json('changes.segments') }}, steps.reached_at - changes.started_at

    having sum(changes.change) <> 0
    {%- endif %}

),

changed_steps as (

    select
        funnel,
        cohort_on,
        step_order

    from changed_times

    union

    -- Which values are among the others can have changed with any attempt.
    select
        others.funnel,
        others.cohort_on,
        funnel_steps.step_order

    from others

    inner join funnel_steps on others.funnel = funnel_steps.funnel

),

-- A step that nobody reaches any more keeps a row of none.
final as (

    select
        changed_steps.funnel,
        changed_steps.cohort_on,
        changed_steps.step_order,
        coalesce(attempts.segment, 'all') as segment,
        coalesce(attempts.segment_value, 'all') as segment_value,

        count(attempts.user_id) as reached,
        count(distinct attempts.user_id) as users,
        {{ percentile(0.5, seconds_to_reach) }} as seconds_to_reach_p50,
        {{ percentile(0.9, seconds_to_reach) }} as seconds_to_reach_p90

    from changed_steps

    left join attempts
        on
            changed_steps.funnel = attempts.funnel
            and changed_steps.cohort_on = attempts.cohort_on
            and changed_steps.step_order <= attempts.furthest_step_order

    group by 1, 2, 3, 4, 5

)

select * from final
