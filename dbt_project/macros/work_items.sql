{#-
    Events of tasks with the work item that each belongs to, whether the event closes it, and whether
    the one before had. Without a task id, the work item is the n-th scheduling per user and type;
    what comes before the first scheduling belongs to it too.
-#}
{% macro work_items(events) -%}
    with

    typed as (

        select
            *,
            case when task_id is null then task_type end as numbered_type,
            {{ report_date('occurred_at') }} as occurred_on,
            event_type in ('task_completed', 'task_abandoned') as is_closing

        from {{ events }}

    ),

    numbered as (

        select
            *,

            case
                when task_id is null
                    then greatest(1, count(*) filter (where event_type = 'task_scheduled') over arrivals)
            end as work_item_number

        from typed

        window arrivals as (
            partition by user_id, task_id, numbered_type
            order by occurred_at, received_at, event_row_id
        )

    )

    select
        *,

        lag(is_closing) over (
            partition by user_id, task_id, numbered_type, work_item_number
            order by occurred_at, received_at, event_row_id
        ) as was_closed

    from numbered
{%- endmacro %}
