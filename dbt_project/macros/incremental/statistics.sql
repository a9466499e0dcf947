{#-
    The planner knows nothing of a table just made, until autovacuum comes by in a minute: the models
    that read it next would not wait. A tenth of the usual sample is enough to choose plans.
-#}
{% macro take_statistics() %}
    {%- if execute and model.config.materialized == 'incremental' and not continues() %}
    set local default_statistics_target = 10;
    analyze {{ this }}
    {%- endif %}
{% endmacro %}
