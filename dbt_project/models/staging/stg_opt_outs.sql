{{
    config(
        unique_key='opt_out_row_id',
        full_refresh=var('reload_raw', false),
        meta={'raw_table': 'opt_outs', 'row': ['opt_out_row_id', 'received_at']},
        indexes=[
            {'columns': ['opt_out_row_id'], 'unique': true},
            {'columns': ['build_id']},
        ],
        pre_hook=[
            "{{ refuse_incomplete_reload() }}",
            "{{ check_raw(
                source('raw', 'opt_outs'), 'opt_out_row_id', 'received_at', 'received_at', 'array[opt_out_row_id]'
            ) }}",
        ]
    )
}}

with

source as (

    select * from {{ source('raw', 'opt_outs') }}
    where {{ unread('opt_out_row_id', 'received_at', 'array[opt_out_row_id]') }}

),

final as (

    select
        opt_out_row_id,
        id_kind,
        case
            when id_kind = 'anonymous' then id
            else {{ id_in_marts('id') }}
        end as id,
        is_out,
        changed_at,
        received_at,
        {{ build_id() }} as build_id

    from source

)

select * from final
