{#-
    How far each incremental model has read. The mark moves in the same transaction as the model's
    data (it is a post-hook of every incremental model), so a model that is killed, skipped or not
    selected keeps its mark and catches up in the next build.
-#}

{#- Rows of a changed relation with a `build_id` above this one are new to the model. In a unit test there is no `this`. -#}
{% macro low_mark() -%}
    {%- if this and is_incremental() -%}
        coalesce((
            select marks.build_id
            from {{ watermarks() }} as marks
            where marks.model_name = '{{ this.schema }}.{{ this.identifier }}'
                and marks.definitions = {{ definitions() }}
        ), 0)
    {%- else -%}
        0
    {%- endif -%}
{%- endmacro %}


{#-
    Fingerprint of all seeds that the model is built from, however far upstream. When it differs
    from the one kept with the mark, `low_mark` is 0 and the model is recomputed whole.
-#}
{% macro definitions() -%}
    {%- set upstream = [] -%}
    {%- do upstream_seeds(model.unique_id, upstream) -%}
    md5(concat_ws(
        '|', '' {%- for seed in upstream | sort if seed.startswith('seed.') %}
        , (select string_agg(seed::text, '|' order by seed::text) from {{ graph.nodes[seed].relation_name }} as seed)
        {%- endfor %}
    ))
{%- endmacro %}


{% macro upstream_seeds(unique_id, visited) %}
    {%- for parent in graph.nodes[unique_id].depends_on.nodes if parent not in visited -%}
        {%- do visited.append(parent) -%}
        {%- if parent.startswith('model.') -%}
            {%- do upstream_seeds(parent, visited) -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}


{% macro advance_watermark() %}
    {%- if execute and model.config.materialized == 'incremental' %}
    insert into {{ watermarks() }} (model_name, build_id, read_below_xid, system_identifier, definitions)
    select
        '{{ this.schema }}.{{ this.identifier }}',
        builds.build_id,
        builds.as_of_xid,
        cluster.system_identifier,
        {{ definitions() }}
    from {{ builds() }} as builds
    cross join pg_control_system() as cluster
    where builds.invocation_id = '{{ invocation_id }}'
    on conflict (model_name) do update set
        build_id = excluded.build_id,
        read_below_xid = excluded.read_below_xid,
        system_identifier = excluded.system_identifier,
        definitions = excluded.definitions,
        advanced_at = excluded.advanced_at
    {%- endif %}
{% endmacro %}
