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


{#- Those ids of an array that are legal, but for one, each once. -#}
{% macro legal_ids(ids, other_than) -%}
    {{ return(adapter.dispatch('legal_ids')(ids, other_than)) }}
{%- endmacro %}


{% macro default__legal_ids(ids, other_than) -%}
    -- Nearly all are empty, and need no sort.
    case
        when {{ ids }} = '{}'::text[] then '{}'::text[]
        else array(
            select distinct named.id from unnest({{ ids }}) as named (id)
            where {{ legal_id('named.id') }} <> coalesce({{ other_than }}, '')
            order by named.id
        )
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
    A user's id as it came, as the marts have it: an email as a keyed hash, where the installation has
    it so, others as above. The function knows; few ids need to ask it.
-#}
{% macro id_in_marts(user_id) -%}
    {{ return(adapter.dispatch('id_in_marts')(user_id)) }}
{%- endmacro %}


{% macro default__id_in_marts(user_id) -%}
    case
        when {{ user_id }} like '%@%' or ltrim({{ user_id }}, '~') like 'email:%' then secret.user_id_in_marts({{ user_id }})
        else {{ told_from_visitors(user_id) }}
    end
{%- endmacro %}


{#-
    Pre-hook of `stg_events`, for what cannot be read from raw again, when its definitions change:
    ids that came into seed `illegal_ids` name nobody in these rows either, and emails are hashed where
    they are to be from now on.
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
        );

    update {{ this }} as staged
    set
        user_id = {{ id_in_marts('staged.user_id') }},
        other_user_ids = array(
            select {{ id_in_marts('other.id') }} from unnest(staged.other_user_ids) as other (id)
        ),
        build_id = {{ build_id() }}
    where strpos(concat(staged.user_id, staged.other_user_ids), '@') > 0
    {%- endif %}
{% endmacro %}
