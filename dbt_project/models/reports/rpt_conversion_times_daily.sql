with

attempts as (

    select * from {{ ref('fct_funnel_progress') }}
    where is_converted

),

times as (

    select
        funnel,
        cohort_on as day,
        {{ is_exact('funnel') }} as is_exact,
        seconds_to_convert

    from attempts

),

{{ counted_times('funnel', 'seconds_to_convert', 'conversions') }}

select * from final
