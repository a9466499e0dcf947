-- Each period ends where the next begins, and only the last is current.
with

neighbours as (

    select
        user_id,
        valid_from,
        valid_to,
        is_current,
        lead(valid_from) over (partition by user_id order by valid_from) as next_valid_from

    from {{ ref('fct_credit_scores') }}

)

select *

from neighbours

where
    valid_to is distinct from next_valid_from
    or is_current <> (next_valid_from is null)
