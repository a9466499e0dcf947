{#-
    Analysts read the marts and reports of `prod` and nothing else: neither staging nor the failing
    rows of tests. The role is made by scripts/migrate; where it may not, nothing is granted. dbt's
    own `grants` fails without the role and leaves the schema closed.
-#}

{#- Once a run: several models granting on one schema at a time get in each other's way. -#}
{% macro open_marts_to_analysts() %}
    {%- if execute and flags.WHICH in ('build', 'run', 'retry') and target.name == 'prod' %}
    do $$
    begin
        if to_regrole('headwater_analyst') is not null then
            {%- for layer in ('marts', 'reports') %}
            create schema if not exists {{ generate_schema_name(layer, none) }};
            grant usage on schema {{ generate_schema_name(layer, none) }} to headwater_analyst;
            {%- endfor %}
        end if;
    end
    $$;
    {%- endif %}
{% endmacro %}


{% macro grant_to_analysts() %}
    {%- if execute and target.name == 'prod' %}
    do $$
    begin
        if to_regrole('headwater_analyst') is not null then
            grant select on {{ this }} to headwater_analyst;
        end if;
    end
    $$;
    {%- endif %}
{% endmacro %}
