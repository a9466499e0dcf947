{{
    config(
        unique_key=['task_type', 'opened_on'],
        meta={'changes_of': 'fct_tasks', 'keeps_emptied': true},
        indexes=[{'columns': ['task_type', 'opened_on'], 'unique': true}]
    )
}}

with

changes as (

    select * from {{ changes_of('fct_tasks') }}
    where num_nonnulls(wait_seconds, cycle_seconds) > 0

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

    group by 1, 2, wait_seconds, cycle_seconds

    having sum(change) <> 0

),

changed_days as (

    select distinct
        task_type,
        opened_on

    from changed_times

),

-- A day that has no times any more keeps a row without.
final as (

    select
        changed_days.task_type,
        changed_days.opened_on,

        percentile_cont(array[0.5, 0.9, 0.95]) within group (order by tasks.wait_seconds)::numeric[] as wait_seconds,
        percentile_cont(array[0.5, 0.9, 0.95]) within group (order by tasks.cycle_seconds)::numeric[] as cycle_seconds

    from changed_days

    left join tasks
        on changed_days.task_type = tasks.task_type and changed_days.opened_on = tasks.opened_on

    group by 1, 2

)

select * from final
