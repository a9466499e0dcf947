-- A missing product is '' and a missing amount 0 in the prototype.
with

marts as (

    select
        moved_events.event_id,
        moved_events.mart_user_id as user_id,
        coalesce(products.text_value, '') as product,
        coalesce(amounts.numeric_value, 0) as amount_cents,
        moved_events.occurred_at as converted_at

    from moved_events

    left join fct_event_attributes as products
        on moved_events.event_key = products.event_key and products.property = 'product'

    left join fct_event_attributes as amounts
        on moved_events.event_key = amounts.event_key and amounts.property = 'amountCents'

    where
        moved_events.event_type = 'conversion'
        and moved_events.event_key is not null

),

prototype as (

    select
        event_id,
        user_id,
        left(product, 256) as product,  -- as far as marts keep texts
        amount_cents,
        converted_at

    from prototype_conversions

)

select
    event_id,
    to_jsonb(prototype) as prototype_row,
    to_jsonb(marts) as marts_row,

    case
        when prototype.event_id is null then 'the ETL of the prototype has not run since'
        when moved_events.event_id is null then 'no longer in the prototype''s Event'
        when moved_events.reason is not null then moved_events.reason
        when prototype.converted_at <> marts.converted_at then 'implausible time, clamped'
        when
            prototype.amount_cents <> marts.amount_cents
            and jsonb_typeof(moved_events.number) is distinct from 'number'
            then 'amountCents is no number, which the prototype writes as 0'
        else 'unexplained'
    end as reason

from prototype

full join marts using (event_id)

left join moved_events using (event_id)

order by moved_events.event_number, event_id
