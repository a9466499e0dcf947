{#-
    What the look before dbt compares (`scripts/lib/dbt/look.py`): whether another run of the same
    would leave everything as it is. A run that succeeds leaves with its row of `builds` the `state`
    that it found and when the next thing comes of age; null where it cannot be told, and then the
    next run is made. What somebody writes into the marts by hand is not seen.
-#}

{#-
    Functions, so that the look asks in one statement. What one of them does not find is null. They
    are dropped first, which the owner of the schema may, whoever made them before.
-#}
{% macro create_look() %}
    {%- set staging = generate_schema_name('staging', none) -%}
    {%- set bodies = {
        'state_of_builds() returns text': state_of_builds(),
        'next_coming_of_age(moment timestamptz) returns timestamptz': next_coming_of_age(),
        'has_unread_rows(xid xid8) returns boolean': has_unread_rows(),
    } -%}
    {%- for signature, body in bodies.items() %}
    drop function if exists {{ staging }}.{{ signature.partition(' returns')[0] }};
    create function {{ staging }}.{{ signature }} language plpgsql as $$
    begin
        return ({{ body }});
    exception
        when others then
            return null;
    end
    $$;
    {%- endfor %}
{% endmacro %}


{#- Everything but time and new rows: who gave out the ids, marks, definitions, and the relations. -#}
{% macro state_of_builds() -%}
    {%- set nodes = graph.nodes.values() | selectattr('resource_type', 'in', ['model', 'seed']) | list -%}
    select md5(concat_ws(
        '|',
        {{ xid_origin() }},
        current_setting('server_version_num'),
        to_regrole('headwater_analyst')::oid,
        (select hashes_user_ids from {{ source('secret', 'email_hash_key') }}),
        (select string_agg(marks::text, '|' order by marks.model_name) from {{ watermarks() }} as marks),
        {%- for node in nodes if node.resource_type == 'seed' %}
        (select string_agg(seed::text, '|' order by seed::text) from {{ node.relation_name }} as seed),
        {%- endfor %}
        -- The one table of raw that a view shows.
        (select count(*) from {{ source('raw', 'rejected_events') }} where loaded_xid < (select max(builds.as_of_xid) from {{ builds() }} as builds)),
        (
            select string_agg(
                concat_ws(
                    ' ', pg_class.oid, pg_class.relfilenode, pg_class.xmin,
                    (select string_agg(pg_attribute.xmin::text, ',' order by attnum) from pg_attribute where attrelid = pg_class.oid),
                    (select string_agg(pg_rewrite.xmin::text, ',') from pg_rewrite where ev_class = pg_class.oid)
                ), '|' order by pg_class.oid
            )
            from pg_class
            inner join pg_namespace on pg_class.relnamespace = pg_namespace.oid
            where nspname in ('{{ nodes | map(attribute='schema') | unique | join("', '") }}')
        )
    ))
{%- endmacro %}


{#-
    When the first thing changes with nothing new: a day ends, or one of the times that models name in
    `meta.comes_of_age`, each with its ages.
-#}
{% macro next_coming_of_age() -%}
    select least(
        -- As `end_of_day`, which has the time zone by `ref`.
        (
            select midnight - case
                when ((midnight - interval '1 hour') at time zone settings.value)::date > today then interval '1 hour'
                else interval '0'
            end
            from {{ graph.nodes['seed.' ~ project_name ~ '.project_settings'].relation_name }} as settings
            cross join lateral (select (moment at time zone settings.value)::date as today) as days
            cross join lateral (select (today + 1)::timestamp at time zone settings.value as midnight) as midnights
            where settings.setting = 'time_zone'
        )
        {%- for node in graph.nodes.values() if node.resource_type == 'model' %}
        {%- for column, ages in node.config.get('meta', {}).get('comes_of_age', {}).items() %}
        {%- for age in ages %},
        (
            select min({{ column }}) + interval '{{ age }}' from {{ node.relation_name }}
            where {{ column }} > moment - interval '{{ age }}'
        )
        {%- endfor %}
        {%- endfor %}
        {%- endfor %}
    )
{%- endmacro %}


{#- Also those that cannot be read yet, of which a test may have something to say. -#}
{% macro has_unread_rows() -%}
    select
        {%- for raw in graph.sources.values() if raw.source_name == 'raw' %}
        exists (select from {{ raw.relation_name }} where loaded_xid >= xid)
        {{- ' or' if not loop.last }}
        {%- endfor %}
{%- endmacro %}
