{{
    config(
        unique_key='cohort_on',
        meta={'changes_of': 'fct_funnel_progress'},
        indexes=[{'columns': ['cohort_on']}]
    )
}}

with

changes as (

    select * from {{ changes_of('fct_funnel_progress') }}

),

attempts as (

    select * from {{ ref('int_funnel_attempts__segmented') }}

),

others as (

    select * from {{ ref('int_funnel_segment_values') }}
    where
        is_other
        and cohort_on in (select changes.cohort_on from changes)

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

    group by 1, 2, 3, changes.user_id, changes.segments, steps.reached_at - changes.started_at

    having sum(changes.change) <> 0

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

reached as (

    select
        attempts.funnel,
        attempts.cohort_on,
        changed_steps.step_order,
        attempts.segment,
        attempts.segment_value,

        count(*) as reached,
        count(distinct attempts.user_id) as users,
        percentile_cont(array[0.5, 0.9]) within group (
            order by extract(epoch from attempts.reached_at[changed_steps.step_order] - attempts.started_at)
        )::numeric[] as seconds_to_reach

    from changed_steps

    inner join attempts
        on
            changed_steps.funnel = attempts.funnel
            and changed_steps.cohort_on = attempts.cohort_on
            and changed_steps.step_order <= attempts.furthest_step_order

    group by 1, 2, 3, 4, 5

),

final as (

    select
        funnel,
        cohort_on,
        step_order,
        segment,
        segment_value,
        reached,
        users,
        round(seconds_to_reach[1], 3) as seconds_to_reach_p50,
        round(seconds_to_reach[2], 3) as seconds_to_reach_p90

    from reached
    {%- if continues() %}

    union all

    select
        funnel,
        cohort_on,
        step_order,
        segment,
        segment_value,
        reached,
        users,
        seconds_to_reach_p50,
        seconds_to_reach_p90

    from {{ this }} as known

    where
        cohort_on in (select changes.cohort_on from changes)
        and not exists (
            select 1 from changed_steps
            where
                known.funnel = changed_steps.funnel
                and known.cohort_on = changed_steps.cohort_on
                and known.step_order = changed_steps.step_order
        )
    {%- endif %}

)

select * from final
