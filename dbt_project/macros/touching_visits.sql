{#-
    The visits that touch a conversion: of those in the window before it the first, the newest, and
    the newest that is not direct, which is what the rules of attribution ask for. One row with no
    `visit_number` where there is none.
-#}
{% macro touching_visits(conversions, visits) -%}
    {{ return(adapter.dispatch('touching_visits')(conversions, visits)) }}
{%- endmacro %}


{% macro default__touching_visits(conversions, visits) -%}
    with

    -- Both on one line of time, so that each is looked at once, however many there are.
    moments as (

        select
            user_id,
            converted_at as moment,
            progress_key,
            funnel,
            null::bigint as visit_number,
            null::bigint as non_direct_visit_number

        from {{ conversions }}

        union all

        select
            user_id,
            started_at as moment,
            null as progress_key,
            null as funnel,
            visit_number,
            case when traffic_source <> 'direct' then visit_number end as non_direct_visit_number

        from {{ visits }}

    ),

    -- A visit that begins at the very moment of the conversion is before it.
    paths as (

        select
            *,

            count(visit_number) over until_now as last_visit,
            max(non_direct_visit_number) over until_now as last_non_direct_visit,
            count(visit_number) over (
                partition by user_id
                order by moment
                range between {{ project_setting('attribution_window_days') }}::integer * interval '24 hours' preceding
                and current row
            ) as visits_in_window

        from moments

        window until_now as (partition by user_id order by moment)

    )

    select
        paths.progress_key,
        paths.user_id,
        paths.funnel,
        paths.moment as converted_at,
        numbers.visit_number

    from paths

    left join lateral (
        select paths.last_visit - paths.visits_in_window + 1 as visit_number
        where paths.visits_in_window > 0

        union

        select paths.last_non_direct_visit as visit_number
        where paths.last_non_direct_visit > paths.last_visit - paths.visits_in_window

        union

        select newest.visit_number
        from generate_series(
            paths.last_visit
            - least(paths.visits_in_window, greatest({{ project_setting('attribution_max_touches') }}::integer - 2, 1)) + 1,
            paths.last_visit
        ) as newest (visit_number)
    ) as numbers on true

    where paths.progress_key is not null
{%- endmacro %}
