-- Every score is in exactly one band: of several the first is named, of none none.
with

score_bands as (

    -- With --empty a seed is there all the same.
    select * from {{ ref('score_bands').render() }}

)

select
    scores.score,
    min(score_bands.band) as band

from generate_series(0, 1000) as scores (score)

left join score_bands
    on scores.score between score_bands.min_score and score_bands.max_score

where {{ is_score('scores.score') }}

group by scores.score

having count(score_bands.band) <> 1
