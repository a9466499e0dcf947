{{ config(severity='warn') }}

-- Violations in the last 30 days: the application that sends them is to be mended, nothing here.
select *

from {{ ref('tracking_plan_violations') }}

where occurred_on > {{ report_date(as_of()) }} - 30
