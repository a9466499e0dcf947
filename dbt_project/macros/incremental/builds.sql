{#-
    One row per invocation of dbt that builds. It fixes, once for all models of the invocation,
    `as_of` (the time that ages are relative to) and `as_of_xid` (everything below it is committed
    or gone for good, so no row can appear there later). Variables of these names set them, for a build
    that is to read what another one has read. `manifest` is what dbt knew of the project, packed, of
    the newest run that scripts/dbt made of it: others compare theirs with it.
-#}

{% macro builds() -%}
    {{ generate_schema_name('staging', none) }}.builds
{%- endmacro %}


{% macro watermarks() -%}
    {{ generate_schema_name('staging', none) }}.watermarks
{%- endmacro %}


{% macro failed_nodes() -%}
    {{ generate_schema_name('staging', none) }}.failed_nodes
{%- endmacro %}


{% macro changed_rows() -%}
    {{ generate_schema_name('staging', none) }}.changed_rows
{%- endmacro %}


{% macro begin_build() %}
    {{ return(adapter.dispatch('begin_build')()) }}
{% endmacro %}


{% macro default__begin_build() %}
    {%- if execute and flags.WHICH in ('build', 'run', 'test', 'seed', 'retry', 'snapshot') %}
    create schema if not exists {{ generate_schema_name('staging', none) }};

    create table if not exists {{ builds() }} (
        build_id bigint generated always as identity primary key,
        invocation_id text not null unique,
        as_of timestamptz not null,
        as_of_xid xid8 not null,
        started_at timestamptz not null default clock_timestamp()
    );

    create table if not exists {{ watermarks() }} (
        model_name text primary key,
        build_id bigint not null,
        read_below_xid xid8 not null,
        xid_origin text not null,
        definitions text not null,
        advanced_at timestamptz not null default clock_timestamp()
    );

    -- Of before there were replicas: all marks are to be compared once. Cascades to the view of a
    -- test's failing rows, which the test makes anew.
    do $$
    begin
        if exists (
            select from pg_attribute
            where attrelid = '{{ watermarks() }}'::regclass and attname = 'system_identifier' and not attisdropped
        ) then
            alter table {{ watermarks() }}
                drop column system_identifier cascade,
                add column xid_origin text not null default '';
        end if;
    end
    $$;

    alter table {{ watermarks() }}
        add column if not exists as_of timestamptz not null default '-infinity',
        add column if not exists code text;

    alter table {{ builds() }}
        add column if not exists finished_at timestamptz,
        add column if not exists failures integer,
        add column if not exists is_whole boolean,
        add column if not exists reason text,
        add column if not exists warnings integer,
        add column if not exists arguments jsonb,
        add column if not exists project text,
        add column if not exists state text,
        add column if not exists due_at timestamptz,
        add column if not exists checked_at timestamptz,
        add column if not exists manifest bytea;

    -- Alerts that somebody was told of and that are not over, see scripts/lib/status/alerts.py.
    create table if not exists {{ generate_schema_name('staging', none) }}.alerts_told (
        alert text primary key,
        told_at timestamptz not null default clock_timestamp()
    );

    -- What failed or warned, by build.
    create table if not exists {{ failed_nodes() }} (
        build_id bigint not null,
        node text not null,
        status text not null,
        primary key (build_id, node)
    );

    create table if not exists {{ changed_rows() }} (
        model_name text not null,
        build_id bigint not null,
        row_values jsonb not null,
        change bigint not null
    );
    create index if not exists changed_rows_build_id_idx on {{ changed_rows() }} (model_name, build_id);

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


{#- Spark computes everything whole, from a lake of which all can be read: one build, and its time. -#}
{% macro spark__begin_build() %}
    {%- if execute %}
    {%- do run_query('create schema if not exists ' ~ generate_schema_name('staging', none)) %}
    create or replace view {{ builds() }} as
    select
        1L as build_id,
        '{{ invocation_id }}' as invocation_id,
        timestamp '{{ var('as_of', run_started_at) }}' as as_of,
        9223372036854775807L as as_of_xid
    {%- endif %}
{% endmacro %}
