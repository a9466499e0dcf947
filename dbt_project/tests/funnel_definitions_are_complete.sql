-- The steps of a funnel are numbered from 1 without gaps, all its rows have one window, and no end
-- has the name of an attempt without one.
select funnel

from {{ ref('funnels') }}

group by funnel

having
    min(step_order) is distinct from 1
    or max(step_order) <> count(step_order)
    or count(distinct step_order) <> count(step_order)
    or count(distinct coalesce(window_days, 0)) > 1
    or count(*) filter (where step_order is null and outcome is null) > 0
    or count(*) filter (where outcome in ('open', 'expired')) > 0
