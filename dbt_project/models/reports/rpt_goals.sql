with

goals as (

    select * from {{ ref('goals') }}

),

final as (

    select
        metric,
        coalesce(subject, '') as subject,
        valid_from,
        lead(valid_from) over (
            partition by metric, coalesce(subject, '')
            order by coalesce(valid_from, date '0001-01-01')
        ) as valid_to,
        days is not null as is_per_day,
        at_most is not null as is_upper_limit,
        (
            coalesce(at_least, at_most)
            / case when metric like '%_rate' then 100.0 else coalesce(days, 1) end
        )::numeric(18, 6) as target,
        description

    from goals

)

select * from final
