{#-
    Fingerprint of the model's code and of all seeds that it is built from, however far upstream, and
    of those that the incremental models upstream were last built from, which may have been others.
    When it differs from the one kept with the mark, `low_mark` is 0 and the model is recomputed whole.
-#}
{% macro definitions() -%}
    {%- set upstream = upstream_of(model.unique_id) -%}
    md5(concat_ws(
        '|', '{{ code() }}' {%- for seed in upstream | sort if seed.startswith('seed.') %}
        , (select string_agg(seed_row, '|' order by seed_row) from {{ seed_rows(graph.nodes[seed]) }} as seed)
        {%- endfor %}
        {%- if reads_raw() %}
        , (select hashes_user_ids from {{ source('secret', 'email_hash_key') }})
        {%- endif %}
        , (
            select string_agg(marks.definitions, '|' order by marks.model_name)
            from {{ watermarks() }} as marks
            where marks.model_name in ({{ incremental_models(upstream) }})
        )
    ))
{%- endmacro %}


{#- Names, as in `watermarks`, of those of the nodes that are incremental models, or read changes. -#}
{% macro incremental_models(unique_ids, readers_only=false) -%}
    ''
    {%- for unique_id in unique_ids | sort
        if unique_id.startswith('model.') and graph.nodes[unique_id].config.materialized == 'incremental'
        and (not readers_only or graph.nodes[unique_id].config.get('meta', {}).get('changes_of')) -%}
    , {{ mark_name(graph.nodes[unique_id]) }}
    {%- endfor -%}
{%- endmacro %}


{#- The rows of a seed as text, but for what its columns `description` say to people. -#}
{% macro seed_rows(seed) -%}
    (select (to_jsonb(seed) - 'description')::text as seed_row from {{ seed_relation(seed) }} as seed)
{%- endmacro %}


{#- Where a seed is: under `--defer`, one that this target does not have is the other's, as for `ref`. -#}
{% macro seed_relation(seed) -%}
    {%- if seed.defer_relation and not adapter.get_relation(seed.database, seed.schema, seed.alias) -%}
        {{ seed.defer_relation.relation_name }}
    {%- else -%}
        {{ seed.relation_name }}
    {%- endif -%}
{%- endmacro %}


{#- All that a node is built from, however far up. Kept with it: the same is asked of each below. -#}
{% macro upstream_of(unique_id) -%}
    {%- set node = graph.nodes[unique_id] -%}
    {%- if 'upstream' not in node -%}
        {%- set upstream = [] -%}
        {%- for parent in node.depends_on.nodes -%}
            {%- do upstream.append(parent) -%}
            {%- if parent.startswith('model.') -%}
                {%- do upstream.extend(upstream_of(parent)) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- do node.update({'upstream': upstream | unique | list}) -%}
    {%- endif -%}
    {{ return(node['upstream']) }}
{%- endmacro %}
