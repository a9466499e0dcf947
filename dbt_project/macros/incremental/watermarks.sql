{#-
    How far each incremental model has read. The mark moves in the same transaction as the model's
    data (it is a post-hook of every incremental model), so a model that is killed, skipped or not
    selected keeps its mark and catches up in the next build.
-#}

{#- Name of a model as in `watermarks`, from its relation or from its node. -#}
{% macro mark_name(model) -%}
    '{{ model.schema }}.{{ model.identifier or model.alias }}'
{%- endmacro %}


{#- The transaction below which a model that reads raw has read. -#}
{% macro read_below(relation) -%}
    (
        select coalesce(max(marks.read_below_xid), '0') from {{ watermarks() }} as marks
        where marks.model_name = {{ mark_name(relation) }}
    )
{%- endmacro %}


{#-
    Rows of a changed relation with a `build_id` above this one are new to the model. A literal, so
    that the planner knows how few they are. Asked once an invocation. In a unit test there is no `this`.
-#}
{% macro low_mark() -%}
    {%- if this and execute -%}
        {%- set node = graph.nodes[model.unique_id] -%}
        {%- if node.get('low_mark', {}).get('invocation_id') != invocation_id -%}
            {%- set mark = kept_mark() if is_incremental() -%}
            {%- do node.update({'low_mark': {
                'invocation_id': invocation_id, 'build_id': mark.build_id if mark and mark.is_of_definitions else 0
            }}) -%}
        {%- endif -%}
        {{ node['low_mark']['build_id'] }}
    {%- else -%}
        0
    {%- endif -%}
{%- endmacro %}


{#-
    What the model's mark says, none where it has none. Asked once an invocation, before the mark
    moves: what is compiled and what is run is of different contexts, which share the graph.
-#}
{% macro kept_mark() -%}
    {%- set node = graph.nodes[model.unique_id] -%}
    {%- if node.get('kept_mark', {}).get('invocation_id') != invocation_id -%}
        {%- set mark -%}
            select
                marks.build_id,
                marks.definitions = {{ definitions() }} as is_of_definitions,
                -- As JSON, since a database of an earlier version has no such column before its first build.
                coalesce(to_jsonb(marks) ->> 'code' = {{ code_of('marks.definitions') }}, false)
                and coalesce(to_jsonb(marks) ->> 'columns' = {{ columns_of(this) }}, true) as is_of_code
            from {{ watermarks() }} as marks
            where marks.model_name = {{ mark_name(this) }}
        {%- endset -%}
        {%- set row = run_query(mark).rows | first -%}
        {%- do node.update({'kept_mark': {'invocation_id': invocation_id, 'mark': {
            'build_id': row['build_id'] | int,
            'is_of_definitions': row['is_of_definitions'],
            'is_of_code': row['is_of_code'],
        } if row else none}}) -%}
    {%- endif -%}
    {{ return(node['kept_mark']['mark']) }}
{%- endmacro %}


{% macro advance_watermark() %}
    {#- With `--empty` nothing was read. -#}
    {%- if execute and model.config.materialized == 'incremental' and not invocation_args_dict.get('empty') %}
    {%- set upstream = upstream_of(model.unique_id) -%}
    {#- A fact is never behind its own changes. -#}
    {%- set readers_only = config.get('meta', {}).get('changes_of') is not none %}
    {{ forget_changes() }}
    insert into {{ watermarks() }} (model_name, build_id, read_below_xid, xid_origin, definitions, code, columns, as_of)
    select
        {{ mark_name(this) }},
        -- No further than what the model was built from; whole next time where that has no mark
        -- here, as with --defer: its builds are numbered elsewhere.
        least(builds.build_id, (
            select min(coalesce(marks.build_id, 0))
            from unnest(array[{{ incremental_models(upstream, readers_only) }}]) as parents (model_name)
            left join {{ watermarks() }} as marks on parents.model_name = marks.model_name
            where parents.model_name <> ''
        ){% if readers_only %}, (
            select 0 where not exists (
                select 1 from {{ watermarks() }} as marks
                where marks.model_name = {{ mark_name(ref(config.get('meta').changes_of)) }}
            )
        ){% endif %}),
        builds.as_of_xid,
        {{ xid_origin() }},
        current_definitions.fingerprint,
        {{ code_of('current_definitions.fingerprint') }},
        {{ columns_of(this) }},
        builds.as_of
    from {{ builds() }} as builds
    cross join (select {{ definitions() }} as fingerprint) as current_definitions
    where builds.invocation_id = '{{ invocation_id }}'
    on conflict (model_name) do update set
        build_id = excluded.build_id,
        read_below_xid = excluded.read_below_xid,
        xid_origin = excluded.xid_origin,
        definitions = excluded.definitions,
        code = excluded.code,
        columns = excluded.columns,
        as_of = excluded.as_of,
        advanced_at = excluded.advanced_at
    {%- endif %}
{% endmacro %}
