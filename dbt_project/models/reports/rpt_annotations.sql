with

annotations as (

    select * from {{ ref('annotations') }}

),

final as (

    select
        day,
        coalesce(subject, '') as subject,
        annotation,
        link

    from annotations

)

select * from final
