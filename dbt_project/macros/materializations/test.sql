{#-
    dbt's own makes a view of each test and then asks it. Here a test is asked first, and the view of
    its rows is there for as long as it has any: most have none, and a view costs more than the test.
-#}
{% materialization test, adapter='postgres' %}
    {%- if should_store_failures() -%}
        {%- call statement('main', fetch_result=True) -%}
            {{ get_test_sql(
                get_limit_subquery_sql(sql, config.get('limit')), config.get('fail_calc'), config.get('warn_if'), config.get('error_if'),
                limit=none
            ) }}
        {%- endcall -%}
        {%- if load_result('main').table.rows[0]['failures'] == 0 -%}
            {%- set earlier = adapter.get_relation(database, schema, model['alias']) -%}
            {%- if earlier -%}
                {%- do adapter.drop_relation(earlier) -%}
                {{ adapter.commit() }}
            {%- endif -%}
            {{ return({'relations': []}) }}
        {%- endif -%}
    {%- endif -%}
    {{ return(dbt.materialization_test_default()) }}
{% endmaterialization %}
