{% macro spark__legal_ids(ids, other_than) -%}
    legal_ids(
        {{ ids }}, {{ other_than }},
        (select array_agg(coalesce(illegal_ids.id, 'null')) from {{ ref('illegal_ids').render() }} as illegal_ids)
    )
{%- endmacro %}


{% macro spark__id_in_marts(user_id) -%}
    {%- set keys = 'global_temp.secret_email_hash_key' -%}{#- no `source`: it is no input of a unit test -#}
    user_id_in_marts(
        {{ user_id }},
        (select keys.hashes_user_ids from {{ keys }} as keys),
        (select keys.inner_pad from {{ keys }} as keys),
        (select keys.outer_pad from {{ keys }} as keys)
    )
{%- endmacro %}
