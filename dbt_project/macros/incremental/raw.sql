{#-
    Pre-hook of a model that reads raw. Refuses rows whose transaction id this cluster has yet to
    give out, and says what a comparison of raw with the model finds where one is due; `raw_key` is
    the model's `row_key` in terms of raw.
-#}
{% macro check_raw(raw_relation, row_id, row_key, raw_key, read_row_ids) %}
    {%- if execute -%}
        {%- set raw_name = raw_relation.schema ~ '.' ~ raw_relation.identifier -%}
        {%- if is_being_copied(raw_name) -%}
            {{ exceptions.raise_compiler_error(
                raw_name ~ ' is still being copied from the source (scripts/link --status): build again when it is there.'
            ) }}
        {%- elif run_query('select ' ~ raw_relation.schema ~ '.missed_heartbeats()').rows[0][0] > 0 -%}
            {{ exceptions.raise_compiler_error(
                'This database lacks what the source has sent it, as one restored from a snapshot of its disk does'
                ~ ' (scripts/link --status): scripts/link --replace copies raw anew.'
            ) }}
        {%- endif -%}
        {%- set of_elsewhere -%}
            select 1 from {{ raw_relation }} where loaded_xid >= pg_snapshot_xmax(pg_current_snapshot()) limit 1
        {%- endset -%}
        {%- if run_query(of_elsewhere).rows | length > 0 -%}
            {{ exceptions.raise_compiler_error(
                raw_name ~ ' holds rows that were landed in another cluster, as after a restore:'
                ~ ' run scripts/migrate first.'
            ) }}
        {%- endif -%}
        {%- if is_incremental() and not is_outdated() and not mark_holds() -%}
            {%- set comparison -%}
                select
                    count(landed.row_id),
                    count(landed.row_id) filter (where known.row_id is not null),
                    count(landed.row_id) filter (where known.row_id is null),
                    count(*) filter (where landed.row_id is null)
                from (
                    select {{ row_id }} as row_id, {{ raw_key }} as row_key
                    from {{ raw_relation }} where loaded_xid < {{ cut_off() }}
                ) as landed
                full join {{ read_rows(row_key, read_row_ids) }} as known
                    on landed.row_id = known.row_id and landed.row_key = known.row_key
            {%- endset -%}
            {%- set counts = run_query(comparison).rows[0] -%}
            {{ log(
                raw_name ~ ' was restored, copied anew or failed over: of its ' ~ counts[0] ~ ' rows, ' ~ counts[1]
                ~ ' are known and ' ~ counts[2] ~ ' are new; ' ~ counts[3] ~ ' known ones are no longer there.',
                info=true
            ) }}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}


{#- Whether the first copy of a replicated table is under way: none of its rows are there yet. -#}
{% macro is_being_copied(raw_name) -%}
    {%- set state -%}
        select 1
        from pg_subscription_rel
        inner join pg_subscription on pg_subscription_rel.srsubid = pg_subscription.oid
        inner join pg_database on pg_subscription.subdbid = pg_database.oid
        where pg_database.datname = current_database()
            and pg_subscription_rel.srrelid = '{{ raw_name }}'::regclass
            and pg_subscription_rel.srsubstate in ('i', 'd')
    {%- endset -%}
    {{ return(run_query(state).rows | length > 0) }}
{%- endmacro %}


{#-
    `--vars 'reload_raw: true'` rebuilds a staging table from raw. It refuses where raw no longer
    holds a row that staging has, since that would lose history.
-#}
{% macro refuse_incomplete_reload() %}
    {%- if execute and var('reload_raw', false) and load_relation(this) and rows_gone_from_raw() > 0 -%}
        {{ exceptions.raise_compiler_error(
            raw_table() ~ ' no longer has all rows of ' ~ this
            ~ ': reloading would lose it. Build without reload_raw.'
        ) }}
    {%- endif -%}
{% endmacro %}


{#-
    How many rows of the staging table stand for one that raw no longer has; its `meta.row` names the
    columns that tell. Asked once a model.
-#}
{% macro rows_gone_from_raw() %}
    {%- if 'rows_gone_from_raw' not in model -%}
        {%- set gone -%}
            select count(*) from {{ this }} as staged
            where not exists (
                select 1 from {{ raw_table() }} as landed
                where
                    {%- for column in model.config.meta.row %}
                    landed.{{ column }} = staged.{{ column }} {{- ' and' if not loop.last }}
                    {%- endfor %}
            )
        {%- endset -%}
        {%- do model.update({'rows_gone_from_raw': run_query(gone).rows[0][0] | int}) -%}
    {%- endif -%}
    {{ return(model['rows_gone_from_raw']) }}
{% endmacro %}


{% macro raw_table() -%}
    {{ return(source('raw', model.config.meta.raw_table).render()) }}
{%- endmacro %}


{#- Who keeps rows of raw from being read: a function that scripts/migrate makes. -#}
{% macro oldest_transaction() -%}
    {{ source('raw', 'events').schema }}.oldest_transaction()
{%- endmacro %}
