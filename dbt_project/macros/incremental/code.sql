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
        {#- Of a strategy of dbt's own the project has none. -#}
        {%- set strategy = 'macro.' ~ project_name ~ '.get_incremental_' ~ config.incremental_strategy ~ '_sql' -%}
        {%- if is_kept and strategy in ref.manifest.macros -%}
            {%- do collect_macros([strategy], visited, parts) -%}
        {%- endif -%}
        {%- for parent in node.depends_on.nodes if parent.startswith('model.') and parent not in visited -%}
            {%- do collect_code(parent, visited, parts) -%}
        {%- endfor -%}
    {%- endif -%}
{% endmacro %}


{#- The project's own that are used, however far down, but for those that say when to build. -#}
{% macro collect_macros(unique_ids, visited, parts) %}
    {%- set of_when = [
        'backfill', 'bookkeeping', 'builds', 'code', 'definitions', 'grants', 'outdated', 'raw', 'statistics', 'unread',
        'watermarks'
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


{#- What the mark keeps of the table's columns: where somebody altered them it is not of the code. -#}
{% macro columns_of(relation) -%}
    (
        select md5(string_agg(attname || ' ' || format_type(atttypid, atttypmod), ',' order by attnum))
        from pg_attribute
        where attrelid = to_regclass('{{ relation }}') and attnum > 0 and not attisdropped
    )
{%- endmacro %}


{#-
    What the mark keeps of it. With the definitions, since an earlier version of this project moves
    these and knows nothing of code: what it wrote is of other code too.
-#}
{% macro code_of(definitions) -%}
    md5('{{ code() }}' || {{ definitions }})
{%- endmacro %}
