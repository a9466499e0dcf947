{#-
    The last CTEs of a view that has each time of a kind and day once, with how often it occurs, for
    the site to take percentiles of. Reads `times`: `kind`, `day`, `is_exact`, and the column `seconds`;
    `items` is what is counted.
-#}
{% macro counted_times(kind, seconds, items) -%}
counted as (

    select
        {{ kind }},
        day,
        is_exact,
        case when is_exact then {{ seconds }} else {{ within_one_percent(seconds) }} end as seconds,
        count(*) as {{ items }}

    from times

    group by 1, 2, 3, 4

),

final as (

    select
        {{ kind }},
        day,
        is_exact,
        array_agg(seconds order by seconds) as seconds,
        array_agg({{ items }} order by seconds) as counts

    from counted

    group by 1, 2, 3

)
{%- endmacro %}


{#- A view of the site: counted times of tasks by type and day. `seconds` is a column of `fct_tasks`. -#}
{% macro counted_task_times(seconds) -%}
with

tasks as not materialized (

    select * from {{ ref('fct_tasks') }}

),

labels as (

    select
        task_type,
        {{ with_other('task_type', 11, 'count(*)') }} as label

    from tasks

    group by 1

),

times as (

    select
        labels.label as task_type,
        tasks.opened_on as day,
        {{ is_exact('labels.label') }} as is_exact,
        tasks.{{ seconds }} as seconds

    from tasks

    inner join labels using (task_type)

    where tasks.{{ seconds }} is not null

),

{{ counted_times('task_type', 'seconds', 'tasks') }}

select * from final
{%- endmacro %}


{#- How long nine in ten completed tasks took. From opening, since an open one may not have been started. -#}
{% macro usual_task_seconds() -%}
    {{ percentile(0.9, 'extract(epoch from completed_at - opened_at)') }}
{%- endmacro %}
