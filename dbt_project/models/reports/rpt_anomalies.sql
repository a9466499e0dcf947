with

events as (

    select * from {{ ref('rpt_events_daily') }}

),

violations as (

    select * from {{ ref('tracking_plan_violations') }}

),

days as (

    select day::date as day
    from
        generate_series(
            (select max(events.day) - 56 from events), (select max(events.day) - 1 from events), interval '1 day'
        ) as days (day)

),

kinds as (

    select
        source,
        event_subject,
        min(day) as first_on

    from events

    group by 1, 2

),

measured as (

    select
        'volume' as measure,
        kinds.source || ': ' || kinds.event_subject as subject,
        days.day,
        coalesce(sum(events.events), 0)::numeric as value

    from kinds

    inner join days on kinds.first_on <= days.day

    left join events
        on
            kinds.source = events.source
            and kinds.event_subject = events.event_subject
            and days.day = events.day

    group by 1, 2, 3

    union all

    select
        'missing values' as measure,
        event_type || '.' || property as subject,
        occurred_on as day,
        100 * {{ rate('events_missing', 'events_checked') }} as value

    from violations

    where occurred_on in (select days.day from days)

),

-- The mean and the standard deviation of the fourteen days before, and a deviation of three of
-- these: the defaults of Elementary. One of nothing, or of less than one event, is none.
usual as (

    select
        *,
        count(*) over fortnight as days_known,
        avg(value) over fortnight as mean,
        stddev_samp(value) over fortnight as deviation

    from measured

    window fortnight as (
        partition by measure, subject
        order by day
        rows between 14 preceding and 1 preceding
    )

),

final as (

    select
        measure,
        subject,
        day as occurred_on,
        value::numeric(18, 3) as value,
        mean::numeric(18, 3) as usual_value,
        ((value - mean) / greatest(deviation, 1))::numeric(18, 3) as deviations

    from usual

    where
        days_known = 14
        and abs(value - mean) > 3 * greatest(deviation, 1)

)

select * from final
