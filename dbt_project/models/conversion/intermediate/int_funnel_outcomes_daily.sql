{{
    config(
        unique_key=['funnel', 'cohort_on', 'outcome'],
        meta={'changes_of': 'fct_funnel_progress', 'keeps_emptied': true},
        indexes=[{'columns': ['cohort_on']}]
    )
}}

{%- set seconds_to_end = 'extract(epoch from attempts.ended_at - attempts.started_at)' %}

with

changes as (

    select * from {{ changes_of('fct_funnel_progress') }}

),

progress as (

    select * from {{ ref('fct_funnel_progress') }}

),

attempts as (

    select * from {{ ref('int_funnel_attempts__segmented') }}

),

others as (

    select * from {{ ref('int_funnel_segment_values') }}
    where is_other and cohort_on in (select changes.cohort_on from changes)

),

-- What attempts came to, or no longer do; what came as it went is no change.
changed_times as (

    select
        funnel,
        cohort_on,
        outcome

    from changes

    {%- if continues() %}

    group by 1, 2, 3, {{ comparable_json('segments') }}, ended_at - started_at

    having sum(change) <> 0
    {%- endif %}

),

changed_outcomes as (

    select
        funnel,
        cohort_on,
        outcome

    from changed_times

    union

    -- Which values are among the others can have changed with any attempt.
    select
        progress.funnel,
        progress.cohort_on,
        progress.outcome

    from progress

    where
        exists (
            select 1 from others
            where progress.funnel = others.funnel and progress.cohort_on = others.cohort_on
        )

),

-- An outcome that no attempt has any more keeps a row of none.
final as (

    select
        changed_outcomes.funnel,
        changed_outcomes.cohort_on,
        changed_outcomes.outcome,
        coalesce(attempts.segment, 'all') as segment,
        coalesce(attempts.segment_value, 'all') as segment_value,

        count(attempts.user_id) as attempts,
        {{ percentile(0.5, seconds_to_end) }} as seconds_to_end_p50,
        {{ percentile(0.9, seconds_to_end) }} as seconds_to_end_p90

    from changed_outcomes

    left join attempts
        on
            changed_outcomes.funnel = attempts.funnel
            and changed_outcomes.cohort_on = attempts.cohort_on
            and changed_outcomes.outcome = attempts.outcome

    group by 1, 2, 3, 4, 5

)

select * from final
