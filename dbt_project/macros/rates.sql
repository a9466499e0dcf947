{#-
    Every rate that site and report show: the column that is a part, and the one that is the whole.
    Ratios of the semantic layer are taken from there, where both can be added up; the others have
    no metric. Where the metric has a filter, which is for what is complete, so have the columns:
    `complete_conversions` are the `conversions` that it leaves.
-#}
{% macro rates() -%}
    {%- set pairs = {
        'good_band_rate': ['users_in_good_bands', 'users'],
        'conversion_rate_so_far': ['conversions', 'attempts'],
        'bounce_rate': ['bounces', 'visits'],
        'views_per_visit': ['views', 'visits'],
        'seconds_per_visit': ['visit_seconds', 'visits'],
        'seconds_of_waiting': ['wait_seconds', 'tasks_waited'],
        'seconds_of_work': ['cycle_seconds', 'tasks_timed'],
    } -%}
    {%- set summed = [] -%}
    {%- for semantic_model in graph.get('semantic_models', {}).values() -%}
        {%- do summed.extend(semantic_model.measures | selectattr('agg', 'in', ['sum', 'count']) | map(attribute='name')) -%}
    {%- endfor -%}
    {%- for metric in graph.get('metrics', {}).values() if metric.type == 'ratio' -%}
        {%- set names = [metric.type_params.numerator.name, metric.type_params.denominator.name] -%}
        {%- if names[0] in summed and names[1] in summed -%}
            {%- set prefix = 'complete_' if metric.filter else '' -%}
            {%- do pairs.update({metric.name: [prefix ~ names[0], prefix ~ names[1]]}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(pairs) }}
{%- endmacro %}


{#- One count of another, to six decimals; null where the whole is 0. Every rate is made by it. -#}
{% macro rate(part, whole) -%}
    round(({{ part }})::numeric / nullif({{ whole }}, 0), 6)
{%- endmacro %}


{#- A rate of `rates`, from the columns of these names. -#}
{% macro rate_of(name) -%}
    {%- if execute -%}
        {%- set part, whole = rates()[name] -%}
        {{ rate(part, whole) }}
    {%- endif -%}
{%- endmacro %}
