-- Nobody reaches a step without having reached the one before.
select *

from {{ ref('conversion_funnel_daily') }}

where
    reached > reached_previous
    or reached_previous > entered
