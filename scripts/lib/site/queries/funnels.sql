-- The steps of each funnel, in order.
select distinct
    funnel,
    step_order,
    step

from conversion_funnel_daily

order by 1, 2
