{{
    config(
        unique_key='opened_on',
        meta={'changes_of': 'fct_tasks'},
        indexes=[{'columns': ['task_type', 'opened_on'], 'unique': true}, {'columns': ['opened_on']}]
    )
}}

with

changes as (

    select * from {{ changes_of('fct_tasks') }}

),

tasks as (

    select * from {{ ref('fct_tasks') }}

),

-- What came as it went is no change.
changed_times as (

    select
        task_type,
        opened_on

    from changes

    where num_nonnulls(wait_seconds, cycle_seconds) > 0

    group by 1, 2, wait_seconds, cycle_seconds

    having sum(change) <> 0

),

changed_days as (

    select distinct
        task_type,
        opened_on

    from changed_times

),

final as (

    select
        task_type,
        opened_on,

        percentile_cont(array[0.5, 0.9, 0.95]) within group (order by wait_seconds)::numeric[] as wait_seconds,
        percentile_cont(array[0.5, 0.9, 0.95]) within group (order by cycle_seconds)::numeric[] as cycle_seconds

    from tasks

    where
        (task_type, opened_on) in (select changed_days.* from changed_days)
        and num_nonnulls(wait_seconds, cycle_seconds) > 0

    group by 1, 2
    {%- if continues() %}

    union all

    select
        task_type,
        opened_on,
        wait_seconds,
        cycle_seconds

    from {{ this }} as known

    where
        opened_on in (select changes.opened_on from changes)
        and not exists (
            select 1 from changed_days
            where known.task_type = changed_days.task_type and known.opened_on = changed_days.opened_on
        )
    {%- endif %}

)

select * from final
