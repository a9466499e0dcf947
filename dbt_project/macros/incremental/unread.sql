{#-
    Condition on a raw table that selects the rows which the model has not read yet: those landed
    at or above its own mark and below the cut-off of the build. A transaction that took its ids
    early and commits late is below no cut-off before it has ended, so it cannot be missed.

    Where the mark says nothing about these rows, the model compares its own with raw once, and its
    mark starts anew: see `mark_holds`. `read_row_ids` is the array of all rows of raw that one of
    its own rows stands for; `row_key` tells whether it is the same row still, since a source that
    lost its last rows in a failover gives their ids out again.

    The variable `received_until` leaves what was received later out, for what was known then.

    Where the model's code was changed and raw has lost rows, all that raw has is read again. A row
    that is read twice does no harm: the models collapse by the ids of rows first.
-#}
{% macro unread(row_id, row_key, read_row_ids) -%}
    {{ has_landed() }}
    {%- if is_incremental() and not is_outdated() %}
        {%- if mark_holds() %}
    and loaded_xid >= {{ read_below(this) }}
        {%- else %}
    and not exists (
        select 1 from {{ read_rows(row_key, read_row_ids) }} as known
        where known.row_id = {{ row_id }} and known.row_key = {{ row_key }}
    )
        {%- endif %}
    {%- endif %}
{%- endmacro %}


{#- Of a row of raw: the build reads it, for it is committed and no later than what is asked for. -#}
{% macro has_landed() -%}
    loaded_xid < {{ cut_off() }}
    {%- if var('received_until', none) %}
    and received_at <= '{{ var('received_until') }}'
    {%- endif -%}
{%- endmacro %}


{% macro cut_off() -%}
    (select builds.as_of_xid from {{ builds() }} as builds where builds.invocation_id = '{{ invocation_id }}')
{%- endmacro %}


{% macro read_rows(row_key, read_row_ids) -%}
    (select {{ row_key }} as row_key, unnest({{ read_row_ids }}) as row_id from {{ this }})
{%- endmacro %}


{#-
    Who gave out the transaction ids that raw is stamped with: the cluster, its timeline (each
    failover and each recovery to a point in time begins one), and the subscription that fills raw
    where it is replicated (each one begins with a copy of all rows).
-#}
{% macro xid_origin() -%}
    (
        select
            concat_ws(
                ' ',
                'cluster ' || system_identifier,
                'timeline ' || left(pg_walfile_name(pg_current_wal_lsn()), 8),
                'subscription ' || (
                    select pg_subscription.oid
                    from pg_subscription
                    inner join pg_database on pg_subscription.subdbid = pg_database.oid
                    where pg_database.datname = current_database() and pg_subscription.subname = 'headwater'
                )
            )
        from pg_control_system()
    )
{%- endmacro %}


{#- Whether the mark of the model is about the transaction ids that raw is stamped with. -#}
{% macro mark_holds() %}
    {%- if not execute -%}
        {{ return(true) }}
    {%- endif -%}
    {%- set mark -%}
        select 1
        from {{ watermarks() }} as marks
        where marks.model_name = {{ mark_name(this) }}
            and marks.xid_origin = {{ xid_origin() }}
            and marks.read_below_xid <= pg_snapshot_xmax(pg_current_snapshot())
    {%- endset -%}
    {{ return(run_query(mark).rows | length == 1) }}
{% endmacro %}
