{{
    config(
        materialized='incremental',
        unique_key='user_id',
        meta={'changes': 'int_users__changed'},
        indexes=[{'columns': ['user_id']}, {'columns': ['funnel', 'converted_on']}]
    )
}}

{%- set credits = {'linear': 'linear', 'position': 'position_based', 'decay': 'time_decay'} %}

with

touches as (

    select * from {{ ref('int_touches') }}
    where {{ is_of_changed_user() }}

),

-- Places among the touches that get credit, from both ends; a conversion without any visit has one.
placed as (

    select
        *,
        row_number() over (partition by progress_key, is_credited order by touch_number) as place,
        row_number() over (partition by progress_key, is_credited order by touch_number desc) as place_from_end,
        count(*) over (partition by progress_key, is_credited) as places,
        coalesce(power(0.5, round(
            extract(epoch from max(touched_at) over (partition by progress_key, is_credited) - touched_at)
            / 86400 / {{ project_setting('attribution_half_life_days') }}::numeric,
            6
        )), 1) as weight

    from touches

),

shares as (

    select
        *,
        round(1.0 / places, 6) as linear_share,
        round(
            case
                when places <= 2 then 1.0 / places
                when least(place, place_from_end) = 1 then 0.4
                else 0.2 / (places - 2)
            end, 6
        ) as position_share,
        round(weight / sum(weight) over (partition by progress_key, is_credited), 6) as decay_share

    from placed

),

final as (

    select
        {{ surrogate_key(['progress_key', 'session_key']) }} as attribution_key,
        progress_key,
        session_key,
        user_id,
        funnel,
        {{ report_date('converted_at') }} as converted_on,
        converted_at,
        touched_at,
        touch_number,
        touch_count,
        traffic_source,
        traffic_medium,
        traffic_campaign,
        (touch_number = 1)::integer as first_touch_credit,
        (touch_number = touch_count)::integer as last_touch_credit,
        {%- for share, credit in credits.items() %}
        -- The last of them takes what rounding leaves, so that the credits add up to 1.
        case
            when not is_credited then 0
            when place_from_end > 1 then {{ share }}_share
            else 1 + {{ share }}_share - sum({{ share }}_share) over (partition by progress_key, is_credited)
        end as {{ credit }}_credit,
        {%- endfor %}
        (is_credited and place_from_end = 1)::integer as last_non_direct_credit

    from shares

)

select * from final
