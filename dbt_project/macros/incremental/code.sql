{#-
    The code of a model is part of its definition, as its seeds are: its SQL, its columns where they
    are a contract, how it is kept, and the macros of this project that any of these use; the same
    of the views it reads, which hold no rows of their own. Comments and white space do not count.
    Nothing of dbt or its adapter does, so that an update of these computes nothing anew.

    The mark keeps a fingerprint of it. Where it is another, the next build that has the model
    computes it whole and swaps the tables, whatever became of its columns.
-#}
{% macro code() -%}
    {%- set node = graph.nodes[model.unique_id] -%}
    {%- if 'code_fingerprint' not in node -%}
        {%- set parts = [] -%}
        {%- do collect_code(model.unique_id, [], parts) -%}
        {%- do node.update({'code_fingerprint': local_md5(parts | join('\n'))}) -%}
    {%- endif -%}
    {{ return(node['code_fingerprint']) }}
{%- endmacro %}


{% macro collect_code(unique_id, visited, parts) %}
    {%- do visited.append(unique_id) -%}
    {%- set node = graph.nodes[unique_id] -%}
    {%- set config = node.config -%}
    {%- set is_kept = config.materialized == 'incremental' -%}
    {%- if unique_id == model.unique_id or not is_kept -%}
        {%- do parts.append(without_comments(node.raw_code)) -%}
        {%- do parts.append(tojson(
            [
                config.materialized, config.incremental_strategy, config.get('unique_key'), config.get('indexes'), config.meta.get('changes'),
                config.meta.get('changes_of'), config.meta.get('counted'),
            ], sort_keys=true
        )) -%}
        {%- for column in node.columns.values() if config.contract.enforced -%}
            {%- do parts.append(column.name ~ ' ' ~ column.data_type ~ ' ' ~ column.constraints) -%}
        {%- endfor -%}
        {%- do collect_macros(node.depends_on.macros, visited, parts) -%}
        {%- if is_kept -%}
            {%- do collect_macros(['macro.' ~ project_name ~ '.get_incremental_' ~ config.incremental_strategy ~ '_sql'], visited, parts) -%}
        {%- endif -%}
        {%- for parent in node.depends_on.nodes if parent.startswith('model.') and parent not in visited -%}
            {%- do collect_code(parent, visited, parts) -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}


{#- The project's own that are used, however far down, but for those that say when to build. -#}
{% macro collect_macros(unique_ids, visited, parts) %}
    {%- set of_when = [
        'backfill', 'bookkeeping', 'builds', 'code', 'grants', 'raw', 'statistics', 'unread', 'watermarks'
    ] -%}
    {%- for unique_id in unique_ids | sort if unique_id not in visited -%}
        {%- do visited.append(unique_id) -%}
        {%- set macro = ref.manifest.macros[unique_id] -%}
        {%- set file = macro.original_file_path.replace('\\', '/').split('/')[-1].split('.')[0] -%}
        {%- if macro.package_name == project_name and file not in of_when -%}
            {%- do parts.append(without_comments(macro.macro_sql)) -%}
            {%- do collect_macros(macro.depends_on.macros, visited, parts) -%}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}


{#- Jinja's comments, and lines that are nothing but a comment of SQL. -#}
{% macro without_comments(text) -%}
    {%- set without = modules.re.sub('(?s)\\{#.*?#\\}', '', text) -%}
    {%- set without = modules.re.sub('(?m)^\\s*--.*$', '', without) -%}
    {{ return(modules.re.sub('\\s+', ' ', without) | trim) }}
{%- endmacro %}


{#-
    What the mark keeps of it. With the definitions, since an earlier version of this project moves
    these and knows nothing of code: what it wrote is of other code too.
-#}
{% macro code_of(definitions) -%}
    md5('{{ code() }}' || {{ definitions }})
{%- endmacro %}


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
