-- Conversions by cohort day and time to convert. Bin n holds 2^(n/4) to 2^((n+1)/4) seconds.
with

binned as (

    select
        funnel,
        cohort_on - %(first)s::date as day,
        floor(4 * ln(greatest(seconds_to_convert, 1)::float) / ln(2::float))::integer as bin,
        count(*) as conversions

    from fct_funnel_progress

    where
        is_converted
        and cohort_on between %(first)s and %(last)s

    group by 1, 2, 3

)

select
    funnel,
    day,
    array_agg(bin order by bin) as bins,
    array_agg(conversions order by bin) as counts

from binned

group by 1, 2

order by 1, 2
