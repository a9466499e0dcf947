{#- A value of seed `project_settings`, as text. -#}
{% macro project_setting(setting) -%}
    {%- if setting not in var('known_settings') -%}
        {{ exceptions.raise_compiler_error('There is no setting ' ~ setting ~ ': dbt_project.yml lists them.') }}
    {%- endif -%}
    (
        select project_settings.value from {{ ref('project_settings').render() }} as project_settings
        where project_settings.setting = '{{ setting }}'
    )
{%- endmacro %}


{#-
    Post-hook of the seed, which every model is made from: refuses settings that a model could not
    do with, and so has nothing built. A setting that is missing would be null, and null days, weeks
    and limits leave rows out in silence.
-#}
{% macro check_settings(settings) %}
    {%- if execute -%}
    {%- set faults -%}
        select
            setting || case
                when rows_of_setting = 0 then ' is missing'
                when rows_of_setting > 1 then ' is there ' || rows_of_setting || ' times'
                when not is_known then ' is no setting'
                when least is null then ' is ' || value || ', which is no time zone that PostgreSQL knows'
                else ' is ' || value || ', which is no whole number from ' || least || ' to {{ var('largest_setting') }}'
            end as fault
        from (
            select
                coalesce(known.setting, given.setting, 'a row without name') as setting,
                count(given.*) as rows_of_setting,
                bool_and(known.setting is not null) as is_known,
                min(known.least) as least,
                min(coalesce(quote_literal(given.value), 'null')) as value,
                bool_and(case
                    when known.setting is null then false
                    when known.least is null
                        then given.value = 'UTC' or given.value in (select zones.name from pg_timezone_names as zones)
                    when given.value ~ '^[0-9]{1,7}$' then given.value::integer between known.least and {{ var('largest_setting') }}
                    else false
                end) as is_sound
            from (
                values
                {%- for setting, least in var('known_settings').items() %}
                ('{{ setting }}', {{ 'null' if least is none else least }}::integer) {{- ',' if not loop.last }}
                {%- endfor %}
            ) as known (setting, least)
            full join {{ settings }} as given on known.setting = given.setting
            group by 1
        ) as found
        where rows_of_setting <> 1 or is_sound is not true
        order by 1
    {%- endset -%}
    {%- set found = run_query(faults).columns[0].values() -%}
    {%- if found | length > 0 -%}
        {{ exceptions.raise_compiler_error(
            'Nothing is built with these settings: ' ~ found | join('; ')
            ~ '. Correct dbt_project/seeds/project_settings.csv, then run scripts/dbt build.'
        ) }}
    {%- endif -%}
    {%- endif -%}
{% endmacro %}


{#- On-run-start: where the seed is not loaded anew, what it was is what counts. -#}
{% macro check_settings_as_loaded() %}
    {%- if execute and flags.WHICH in ('build', 'run') -%}
        {%- set seed = graph.nodes['seed.' ~ project_name ~ '.project_settings'] -%}
        {%- set settings = adapter.get_relation(seed.database, seed.schema, seed.alias) -%}
        {%- if settings and seed.unique_id not in selected_resources -%}
            {{ check_settings(settings) }}
        {%- endif -%}
    {%- endif -%}
{% endmacro %}
