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

counts as (

    select
        changes.funnel,
        changes.cohort_on,
        segments.segment,
        segments.segment_value,
        changes.change as attempts

    from changes

    cross join jsonb_each_text(changes.segments) as segments (segment, segment_value)
    {%- if continues() %}

    union all

    select
        funnel,
        cohort_on,
        segment,
        segment_value,
        attempts

    from {{ this }}

    where cohort_on in (select changes.cohort_on from changes)
    {%- endif %}

),

-- Values that nobody has any more stay, so that their readers see where there were too many.
totals as (

    select
        funnel,
        cohort_on,
        segment,
        segment_value,
        sum(attempts)::bigint as attempts

    from counts

    group by 1, 2, 3, 4

),

final as (

    select
        *,

        row_number() over (
            partition by funnel, cohort_on, segment
            order by attempts desc, segment_value asc
        ) > {{ project_setting('segment_values') }}::integer as is_other

    from totals

)

select * from final
