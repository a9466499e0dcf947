{{
    config(
        unique_key='user_id',
        meta={'changes': 'int_users__changed'},
        indexes=[{'columns': ['user_id']}]
    )
}}

{{ funnel_moves() }}
