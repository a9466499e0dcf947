{#-
    One row per invocation of dbt that builds. It fixes, once for all models of the invocation,
    `as_of` (the time that ages are relative to) and `as_of_xid` (everything below it is committed
    or gone for good, so no row can appear there later). Variables of these names set them, for a build
    that is to read what another one has read. `manifest` is what dbt knew of the project, packed, of
    the newest run that scripts/dbt made of it: others compare theirs with it.
-#}

{% macro begin_build() %}
    {{ return(adapter.dispatch('begin_build')()) }}
{% endmacro %}


{% macro default__begin_build() %}
    {%- if execute and flags.WHICH in ('build', 'run', 'test', 'seed', 'retry', 'snapshot') %}
    create schema if not exists {{ generate_schema_name('staging', none) }};

    {{ create_books() }}

    -- Where no collector does, as in a destination of its own. Its owner made the function; a role that
    -- may not call it builds all the same.
    do $$
    begin
        perform {{ source('raw', 'events').schema }}.keep_event_partitions();
    exception
        when undefined_function or insufficient_privilege then
            null;
    end
    $$;

    insert into {{ builds() }} (invocation_id, as_of, as_of_xid)
    values (
        '{{ invocation_id }}',
        {%- if var('as_of', none) %}
        '{{ var('as_of') }}',
        {%- else %}
        statement_timestamp(),
        {%- endif %}
        {%- if var('as_of_xid', none) %}
        least('{{ var('as_of_xid') }}'::xid8, pg_snapshot_xmin(pg_current_snapshot()))
        {%- else %}
        pg_snapshot_xmin(pg_current_snapshot())
        {%- endif %}
    );
    {%- endif %}
{% endmacro %}


{#-
    How the invocation ended, for scripts/status: what failed or was skipped for it, and whether it
    built everything. A killed one never says.
-#}
{% macro end_build(results) %}
    {%- if execute and flags.WHICH in ('build', 'run', 'test', 'seed', 'retry', 'snapshot') %}
    {%- set passed = ['success', 'pass', 'warn', 'no-op'] %}
    {%- set limits = [] %}
    {%- for option in ('select', 'exclude', 'selector', 'resource_types', 'exclude_resource_types')
        if invocation_args_dict.get(option) %}
        {%- do limits.append(option) %}
    {%- endfor %}
    {%- set failures = results | rejectattr('status', 'in', passed) | list | length %}
    {%- set repeats = failures == 0 and flags.WHICH in ('build', 'run') and not flags.FULL_REFRESH
        and not var('reload_raw', false) and not invocation_args_dict.get('empty')
        and not invocation_args_dict.get('defer') and not invocation_args_dict.get('state') %}
    {%- if repeats %}
    {{ create_look() }}
    {%- endif %}
    {%- for result in results if result.status in ('fail', 'error', 'warn', 'runtime error') %}
    insert into {{ failed_nodes() }} (build_id, node, status)
    select builds.build_id, {{ dbt.string_literal(result.node.name) }}, '{{ result.status }}'
    from {{ builds() }} as builds where builds.invocation_id = '{{ invocation_id }}'
    on conflict do nothing;
    {%- endfor %}

    {{ note_columns() }}

    update {{ builds() }}
    set
        finished_at = clock_timestamp(),
        failures = {{ failures }},
        warnings = {{ results | selectattr('status', 'equalto', 'warn') | list | length }},
        is_whole = {{ flags.WHICH == 'build' and not limits }},
        reason = {{ dbt.string_literal(who_was_in_the_way(results)) }}
        {%- if repeats %},
        state = {{ generate_schema_name('staging', none) }}.state_of_builds(),
        due_at = {% if var('as_of', none) %}'infinity'{% else %}{{ generate_schema_name('staging', none) }}.next_coming_of_age(as_of){% endif %}
        {%- endif %}
    where invocation_id = '{{ invocation_id }}';
    {%- endif %}
{% endmacro %}


{#- Who read what was to be replaced for longer than `lock_timeout`: said, and kept with the build. -#}
{% macro who_was_in_the_way(results) -%}
    {%- set reasons = [] -%}
    {%- for result in results if 'lock timeout' in (result.message or '') and result.node.relation_name -%}
        {%- set holders -%}
            select string_agg(
                distinct format('backend %s (%s, %s)', activity.pid, activity.usename, activity.application_name), ', '
            )
            from pg_locks as locks
            inner join pg_stat_activity as activity on locks.pid = activity.pid
            where
                locks.relation = to_regclass('{{ result.node.relation_name }}')
                and locks.granted
                and locks.pid <> pg_backend_pid()
        {%- endset -%}
        {%- do reasons.append(
            result.node.name ~ ' could not be replaced while it is read by '
            ~ (run_query(holders).rows[0][0] or 'somebody')
        ) -%}
    {%- endfor -%}
    {%- for reason in reasons -%}
        {%- do log(reason ~ '; the next build tries again', info=true) -%}
    {%- endfor -%}
    {{ return(reasons | join('; ')) }}
{%- endmacro %}


{% macro build_id() -%}
    (select builds.build_id from {{ builds() }} as builds where builds.invocation_id = '{{ invocation_id }}')
{%- endmacro %}


{% macro as_of() -%}
    (select builds.as_of from {{ builds() }} as builds where builds.invocation_id = '{{ invocation_id }}')
{%- endmacro %}
