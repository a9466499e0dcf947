{% macro spark__touching_visits(conversions, visits) -%}
    with

    -- With the beginning of each window, since Spark's frames have no bound that is asked for.
    moments as (

        select
            user_id,
            converted_at as moment,
            2 as place,
            progress_key,
            funnel,
            null::bigint as visit_number,
            null::bigint as non_direct_visit_number

        from {{ conversions }}

        union all

        select
            user_id,
            converted_at
            - {{ project_setting('attribution_window_days') }}::integer * interval '24 hours' as moment,
            0 as place,
            progress_key,
            funnel,
            null::bigint as visit_number,
            null::bigint as non_direct_visit_number

        from {{ conversions }}

        union all

        select
            user_id,
            started_at as moment,
            1 as place,
            null as progress_key,
            null as funnel,
            visit_number,
            case when traffic_source <> 'direct' then visit_number end as non_direct_visit_number

        from {{ visits }}

    ),

    counted as (

        select
            *,

            count(visit_number) over until_now as visits_so_far,
            max(non_direct_visit_number) over until_now as last_non_direct_visit

        from moments

        window until_now as (
            partition by user_id
            order by moment, place
            rows between unbounded preceding and current row
        )

    ),

    paths as (

        select
            progress_key,
            user_id,
            funnel,
            max(moment) as converted_at,
            max(visits_so_far) as last_visit,
            max(visits_so_far) - min(visits_so_far) as visits_in_window,
            max(last_non_direct_visit) as last_non_direct_visit

        from counted

        where progress_key is not null

        group by 1, 2, 3

    ),

    touching as (

        select
            *,
            touched_visits(
                last_visit, visits_in_window, last_non_direct_visit,
                {{ project_setting('attribution_max_touches') }}::integer
            ) as visit_numbers

        from paths

    )

    select
        touching.progress_key,
        touching.user_id,
        touching.funnel,
        touching.converted_at,
        numbers.visit_number

    from touching

    cross join unnest(touching.visit_numbers) as numbers (visit_number)
{%- endmacro %}
