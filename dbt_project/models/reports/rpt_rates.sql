with

final as (

    select
        rate,
        part,
        whole

    from (
        values
        {%- for rate, (part, whole) in rates().items() %}
        ('{{ rate }}', '{{ part }}', '{{ whole }}'){{ ',' if not loop.last }}
        {%- endfor %}
    ) as rates (rate, part, whole)

)

select * from final
