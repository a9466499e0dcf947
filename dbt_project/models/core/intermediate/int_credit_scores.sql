{{
    config(
        unique_key='user_id',
        meta={'changes': 'int_users__changed'},
        indexes=[{'columns': ['user_id', 'valid_from']}, {'columns': ['valid_from']}]
    )
}}

with

reports as (

    select * from {{ ref('int_credit_reports') }}
    where {{ is_of_changed_user() }}

),

score_bands as (

    select * from {{ ref('score_bands') }}

),

-- Of several reports at one instant the last to arrive counts.
settled as (

    select distinct on (user_id, occurred_at) *

    from reports

    order by user_id asc, occurred_at asc, received_at desc, score_source desc, row_id desc

),

compared as (

    select
        *,

        lag(score) over (partition by user_id order by occurred_at) as previous_score

    from settled

),

periods as (

    select
        *,

        lead(occurred_at) over (partition by user_id order by occurred_at) as valid_to

    from compared

    where score is distinct from previous_score

),

final as (

    select
        {{ surrogate_key(['periods.user_id', 'extract(epoch from periods.occurred_at)']) }} as score_key,
        periods.user_id,
        periods.score,
        periods.previous_score,
        score_bands.band,
        previous_bands.band as previous_band,
        periods.score_source,
        periods.source,
        periods.occurred_at as valid_from,
        periods.valid_to,
        periods.valid_to is null as is_current

    from periods

    left join score_bands
        on periods.score between score_bands.min_score and score_bands.max_score

    left join score_bands as previous_bands
        on periods.previous_score between previous_bands.min_score and previous_bands.max_score

)

select * from final
