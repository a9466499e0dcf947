{#- Whether the table was made by other code; without a mark, by such as kept none. -#}
{% macro is_outdated() %}
    {%- if not execute or model.resource_type != 'model' or model.config.materialized != 'incremental'
        or invocation_args_dict.get('empty') or not load_relation(this) -%}
        {{ return(false) }}
    {%- endif -%}
    {%- set mark = kept_mark() -%}
    {{ return(not mark or not mark.is_of_code or (reads_raw() and not mark.is_of_definitions)) }}
{% endmacro %}


{#- Whether it is a staging table, which an ordinary `--full-refresh` leaves alone. -#}
{% macro reads_raw() -%}
    {{ return(model.config.meta.get('raw_table') is not none) }}
{%- endmacro %}


{#-
    Overrides dbt's own, which its materializations and `is_incremental` ask. What is made by another
    build's cut-off does not go on from what there is.
-#}
{% macro should_full_refresh() %}
    {%- set configured = config.get('full_refresh') -%}
    {%- if var('as_of_xid', none) or (flags.FULL_REFRESH if configured is none else configured) -%}
        {{ return(true) }}
    {%- endif -%}
    {{ return(is_outdated() and not (reads_raw() and rows_gone_from_raw() > 0)) }}
{% endmacro %}


{#- Pre-hook of every model: says in a line why one that is kept is computed whole. -#}
{% macro say_what_changed() %}
    {%- if execute and not flags.FULL_REFRESH and model.config.materialized == 'incremental' and load_relation(this) -%}
        {%- if is_outdated() and not is_incremental() -%}
            {{ log(model.name ~ ' was changed: computed anew', info=true) }}
        {%- elif is_outdated() -%}
            {{ log(
                model.name ~ ' was changed: computed anew from raw, but for ' ~ rows_gone_from_raw()
                ~ ' rows that raw no longer has, which stay as older code made them', info=true
            ) }}
            {{ add_missing_columns() }}
        {%- elif not reads_raw() and low_mark() | int == 0 and (kept_mark() or {}).get('build_id', 0) > 0 -%}
            {{ log(model.name ~ ' reads what was changed: computed anew', info=true) }}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}


{#- Those that newer code of a staging table, which reads its own older rows, expects in them. -#}
{% macro add_missing_columns() %}
    {%- set known = adapter.get_columns_in_relation(load_relation(this)) | map(attribute='name') | list -%}
    {%- for column in model.columns.values() if column.name not in known -%}
        {%- do run_query('alter table ' ~ this ~ ' add column ' ~ adapter.quote(column.name) ~ ' ' ~ column.data_type) -%}
    {%- endfor -%}
{% endmacro %}
