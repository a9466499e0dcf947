{#-
    Every rate that site and report show: the column that is a part, and the one that is the whole.
    Ratios of the semantic layer are taken from there; the others have no metric.
-#}
{% macro rates() -%}
    {%- set pairs = {
        'step_rate': ['reached', 'reached_previous'],
        'overall_rate': ['reached', 'entered'],
        'rework_rate': ['tasks_reworked', 'tasks_opened'],
        'reassignment_rate': ['tasks_reassigned', 'tasks_opened'],
        'good_band_rate': ['users_in_good_bands', 'users'],
    } -%}
    {%- for metric in graph.get('metrics', {}).values() if metric.type == 'ratio' -%}
        {%- do pairs.update({metric.name: [metric.type_params.numerator.name, metric.type_params.denominator.name]}) -%}
    {%- endfor -%}
    {{ return(pairs) }}
{%- endmacro %}


{#- A rate of `rates` from the columns of these names; null where the whole is 0. -#}
{% macro rate(name) -%}
    {%- if execute -%}
        {%- set part, whole = rates()[name] -%}
        round({{ part }}::numeric / nullif({{ whole }}, 0), 6)
    {%- endif -%}
{%- endmacro %}
