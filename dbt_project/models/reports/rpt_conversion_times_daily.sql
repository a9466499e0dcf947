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

counted as (

    select
        funnel,
        day,
        is_exact,
        case when is_exact then seconds_to_convert else {{ within_one_percent('seconds_to_convert') }} end as seconds,
        count(*) as conversions

    from times

    group by 1, 2, 3, 4

),

final as (

    select
        funnel,
        day,
        is_exact,
        array_agg(seconds order by seconds) as seconds,
        array_agg(conversions order by seconds) as counts

    from counted

    group by 1, 2, 3

)

select * from final
