{{ config(materialized='view') }}

-- Without CTEs: PostgreSQL joins by index only into a view that has no `with` of its own.
select * from {{ ref('int_credit_scores') }}
