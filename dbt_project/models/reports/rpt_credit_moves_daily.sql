with

scores as (

    select * from {{ ref('fct_credit_scores') }}

),

score_bands as (

    select * from {{ ref('score_bands') }}

),

final as (

    select
        scores.previous_band,
        scores.band,
        {{ report_date('scores.valid_from') }} as day,
        score_bands.band_order > previous_bands.band_order as is_up,
        count(*) as moves

    from scores

    inner join score_bands using (band)

    inner join score_bands as previous_bands
        on scores.previous_band = previous_bands.band

    where scores.previous_band <> scores.band

    group by 1, 2, 3, 4

)

select * from final
