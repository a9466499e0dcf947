{#- The books of builds, in staging: which there were, how far each model has read, what failed, what changed. -#}

{% macro builds() -%}
    {{ generate_schema_name('staging', none) }}.builds
{%- endmacro %}


{% macro watermarks() -%}
    {{ generate_schema_name('staging', none) }}.watermarks
{%- endmacro %}


{% macro failed_nodes() -%}
    {{ generate_schema_name('staging', none) }}.failed_nodes
{%- endmacro %}


{% macro seed_lines() -%}
    {{ generate_schema_name('staging', none) }}.seed_lines
{%- endmacro %}


{% macro mart_columns() -%}
    {{ generate_schema_name('staging', none) }}.mart_columns
{%- endmacro %}


{% macro changed_rows() -%}
    {{ generate_schema_name('staging', none) }}.changed_rows
{%- endmacro %}


{% macro create_books() %}
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
        add column if not exists code text,
        add column if not exists columns text;

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

    -- The rows of each seed as they are in its file, with their lines, see macros/data_tests/seed_lines.sql.
    create table if not exists {{ seed_lines() }} (
        seed text primary key,
        file_rows jsonb not null
    );

    -- Which columns the marts had from which build to which, see macros/governance/columns.sql.
    create table if not exists {{ mart_columns() }} (
        mart text not null,
        column_name text not null,
        data_type text not null,
        since_build_id bigint not null,
        until_build_id bigint,
        primary key (mart, column_name, since_build_id)
    );

    create table if not exists {{ changed_rows() }} (
        model_name text not null,
        build_id bigint not null,
        row_values jsonb not null,
        change bigint not null
    );
    create index if not exists changed_rows_build_id_idx on {{ changed_rows() }} (model_name, build_id);
{% endmacro %}
