-- Users by cohort week and weeks since, of weeks that are over.
select
    cohort_week - %(first)s::date as day,
    weeks_since,
    cohort_users,
    users_active

from retention_weekly

where
    is_complete
    and cohort_week between %(first)s::date - 6 and %(last)s

order by 1, 2
