{#-
    Has the next ordinary build recompute some history, for instance after a repair of data:

    scripts/dbt run-operation backfill --args '{first_day: 2026-01-01, last_day: 2026-01-31}'
    scripts/dbt run-operation backfill --args '{users: [17, ann]}'

    It gives the events and user updates of those days (in the reporting time zone) or users the
    number of a new build, so that every model downstream takes them as changed: tables by event
    recompute these events, tables by user the whole of their users. Doing it twice does no harm.
-#}
{% macro backfill(first_day=none, last_day=none, users=[]) %}
    {%- set days = [first_day, last_day] | reject('none') | map('string') | map('replace', "'", "''") | list -%}
    {%- if (days | length, users | length > 0) not in [(2, false), (0, true)] or days | sort != days -%}
        {{ exceptions.raise_compiler_error(
            "backfill takes first_day and last_day, or users, as in"
            ~ " --args '{first_day: 2026-01-01, last_day: 2026-01-31}' or --args '{users: [17, ann]}'"
        ) }}
    {%- endif -%}
    {%- if not load_relation(ref('stg_events')) or not load_relation(ref('stg_users')) -%}
        {{ exceptions.raise_compiler_error('Nothing is built yet that could be backfilled: run dbt build.') }}
    {%- endif -%}

    {%- if users -%}
        {%- set ids = "(select unnest(array['" ~ users | map('string') | map('replace', "'", "''") | join("', '") ~ "']))" -%}
        {%- set concerned_updates = 'user_id in ' ~ ids -%}
        {%- set concerned_events -%}
            user_id in {{ ids }}
            or {{ anonymous_user_id('anonymous_id') }} in {{ ids }}
            or anonymous_id in (
                select identities.anonymous_id from {{ ref('int_identities').render() }} as identities
                where identities.user_id in {{ ids }}
            )
        {%- endset -%}
    {%- else -%}
        {%- set concerned_updates -%}
            {{ report_date('occurred_at') }} between '{{ days[0] }}' and '{{ days[1] }}'
        {%- endset -%}
        {%- set concerned_events = concerned_updates -%}
    {%- endif -%}

    {%- set mark -%}
        with

        new_build as (

            insert into {{ builds() }} (invocation_id, as_of, as_of_xid)
            values ('{{ invocation_id }}', statement_timestamp(), pg_snapshot_xmin(pg_current_snapshot()))
            returning build_id

        ),

        events as (

            update {{ ref('stg_events') }} set build_id = (select new_build.build_id from new_build)
            where {{ concerned_events }}
            returning 1

        ),

        user_updates as (

            update {{ ref('stg_users') }} set build_id = (select new_build.build_id from new_build)
            where {{ concerned_updates }}
            returning 1

        )

        select (select count(*) from events), (select count(*) from user_updates)
    {%- endset -%}
    {%- set counts = run_query(mark).rows[0] -%}
    {{ log(
        counts[0] ~ ' events and ' ~ counts[1] ~ ' user updates count as changed: '
        ~ 'the next dbt build recomputes what is made from them.', info=true
    ) }}
{% endmacro %}
