{#-
    What is relative to the cut-off changes with nothing new: condition on a time that was younger
    than `age` when the model was last built and no longer is. Holds as well for a cut-off that
    moves back, as `--vars 'as_of: ...'` can. The model, or the one that it reads the column from, names
    both in `meta.comes_of_age`, so that the look before dbt knows when the next one does.
-#}
{% macro has_come_of_age(column, age) -%}
    {%- if execute and age not in ages_of(column) -%}
        {{ exceptions.raise_compiler_error('meta.comes_of_age of neither ' ~ model.name ~ ' nor what it reads has ' ~ column ~ ': [' ~ age ~ ']') }}
    {%- endif -%}
    (
        {{ column }} > least({{ as_of() }}, {{ last_as_of() }}) - interval '{{ age }}'
        and {{ column }} <= greatest({{ as_of() }}, {{ last_as_of() }}) - interval '{{ age }}'
    )
{%- endmacro %}


{% macro ages_of(column) -%}
    {%- set ages = [] -%}
    {%- for unique_id in [model.unique_id] + model.depends_on.nodes if unique_id in graph.nodes -%}
        {%- do ages.extend(graph.nodes[unique_id].config.get('meta', {}).get('comes_of_age', {}).get(column.split('.')[-1], [])) -%}
    {%- endfor -%}
    {{ return(ages) }}
{%- endmacro %}


{% macro last_as_of() -%}
    (
        select marks.as_of from {{ watermarks() }} as marks
        where marks.model_name = {{ mark_name(this) }}
    )
{%- endmacro %}


{#-
    Condition on a day that was not over when the model was last built, in a build of another day:
    what is there to the day of the cut-off goes on, and days are over that were not.
-#}
{% macro is_of_another_day(day) -%}
    (
        {{ report_date(as_of()) }} <> {{ report_date(last_as_of()) }}
        and {{ day }} >= least({{ report_date(as_of()) }}, {{ report_date(last_as_of()) }})
    )
{%- endmacro %}
