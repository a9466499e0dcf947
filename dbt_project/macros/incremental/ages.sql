{#-
    What is relative to the cut-off changes with nothing new: condition on a time that was younger
    than `age` when the model was last built and no longer is. Holds as well for a cut-off that
    moves back, as `--vars 'as_of: ...'` can.
-#}
{% macro has_come_of_age(column, age) -%}
    (
        {{ column }} > least({{ as_of() }}, {{ last_as_of() }}) - interval '{{ age }}'
        and {{ column }} <= greatest({{ as_of() }}, {{ last_as_of() }}) - interval '{{ age }}'
    )
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
