{#-
    An id, or null where it means nobody (seed `illegal_ids`), however it is written. Of a seed dbt
    reads the text null as no value: that row is the id `null`.
-#}
{% macro legal_id(id) -%}
    case
        when lower(btrim({{ id }})) not in (
            select coalesce(illegal_ids.id, 'null') from {{ ref('illegal_ids').render() }} as illegal_ids
        )
            then {{ id }}
    end
{%- endmacro %}


{#- What stands in for the user id of a visitor whom no event has named yet. -#}
{% macro anonymous_user_id(anonymous_id) -%}
    'anonymous:' || {{ anonymous_id }}
{%- endmacro %}


{#-
    A user's id as it is, but for one that could be taken for a visitor's: `anonymous:x` becomes
    `~anonymous:x`, that becomes `~~anonymous:x`, and so on, so that no two become one.
-#}
{% macro told_from_visitors(user_id) -%}
    case when ltrim({{ user_id }}, '~') like 'anonymous:%' then '~' else '' end || {{ user_id }}
{%- endmacro %}


{#-
    Pre-hook of `stg_events`, for what cannot be read from raw again, when its definitions change:
    ids that came into seed `illegal_ids` name nobody in these rows either.
-#}
{% macro forget_illegal_ids() %}
    {%- if execute and is_incremental() and not continues() %}
    update {{ this }} as staged
    set
        user_id = {{ legal_id('staged.user_id') }},
        anonymous_id = {{ legal_id('staged.anonymous_id') }},
        aliased_ids = array(
            select aliased.id from unnest(staged.aliased_ids) as aliased (id)
            where {{ legal_id('aliased.id') }} is not null
        ),
        rejection_code = case
            when coalesce({{ legal_id('staged.user_id') }}, {{ legal_id('staged.anonymous_id') }}) is null
                then coalesce(staged.rejection_code, 'user_illegal')
            else staged.rejection_code
        end,
        build_id = {{ build_id() }}
    where
        exists (
            select 1 from unnest(array[staged.user_id, staged.anonymous_id] || staged.aliased_ids) as named (id)
            where named.id is not null and {{ legal_id('named.id') }} is null
        )
    {%- endif %}
{% endmacro %}
