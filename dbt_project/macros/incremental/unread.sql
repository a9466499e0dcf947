{#-
    Condition on a raw table that selects the rows which the model has not read yet: those landed
    at or above its own mark and below the cut-off of the build. A transaction that took its ids
    early and commits late is below no cut-off before it has ended, so it cannot be missed.

    Transaction ids mean nothing in another cluster: after a restore the model compares its rows
    with raw by `row_id` once, and its mark starts anew. `read_row_ids` is the array of all rows of
    raw that one of its own rows stands for.
-#}
{% macro unread(row_id, read_row_ids) -%}
    loaded_xid < (select builds.as_of_xid from {{ builds() }} as builds where builds.invocation_id = '{{ invocation_id }}')
    {%- if is_incremental() %}
        {%- if mark_is_of_this_cluster() %}
    and loaded_xid >= (
        select marks.read_below_xid
        from {{ watermarks() }} as marks
        where marks.model_name = '{{ this.schema }}.{{ this.identifier }}'
    )
        {%- else %}
    and {{ row_id }} not in (select unnest({{ read_row_ids }}) from {{ this }})
        {%- endif %}
    {%- endif %}
{%- endmacro %}


{% macro mark_is_of_this_cluster() %}
    {%- if not execute -%}
        {{ return(true) }}
    {%- endif -%}
    {%- set mark -%}
        select 1
        from {{ watermarks() }} as marks
        inner join pg_control_system() as cluster
            on marks.system_identifier = cluster.system_identifier
        where marks.model_name = '{{ this.schema }}.{{ this.identifier }}'
            and marks.read_below_xid <= pg_snapshot_xmax(pg_current_snapshot())
    {%- endset -%}
    {{ return(run_query(mark).rows | length == 1) }}
{% endmacro %}


{#-
    `--vars 'reload_raw: true'` rebuilds a staging table from raw. It refuses where raw no longer
    holds the first row that staging has, since that would lose history.
-#}
{% macro refuse_incomplete_reload(raw_relation, row_id) %}
    {%- if execute and var('reload_raw', false) and load_relation(this) -%}
        {%- set dropped -%}
            select 1
            where (select min({{ row_id }}) from {{ this }}) < (select min({{ row_id }}) from {{ raw_relation }})
        {%- endset -%}
        {%- if run_query(dropped).rows | length > 0 -%}
            {{ exceptions.raise_compiler_error(
                raw_relation ~ ' no longer reaches back to the first row of ' ~ this
                ~ ': reloading would lose it. Build without reload_raw.'
            ) }}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}
