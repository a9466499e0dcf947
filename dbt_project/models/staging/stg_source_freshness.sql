{{ config(materialized='view') }}

-- depends_on: {{ source('raw', 'events') }}
with

-- By the limits of __sources.yml, and the queries that dbt source freshness asks.
final as (

    {%- for table in graph.sources.values() if execute and table.freshness and table.loaded_at_query %}
    {%- if not loop.first %}

    union all

    {%- endif %}

    select
        '{{ table.source_name }}.{{ table.name }}' as source_table,
        ({{ table.loaded_at_query }}) as last_received_at,
        {{ freshness_limit(table.freshness.warn_after) }} as warn_after,
        {{ freshness_limit(table.freshness.error_after) }} as error_after
    {%- else %}

    select
        null::text as source_table,
        null::timestamptz as last_received_at,
        null::interval as warn_after,
        null::interval as error_after

    where false
    {%- endfor %}

)

select * from final
