{#-
    `dbt clone` makes views of what another target has, by the materialization `view`: hooks are about
    what is built, and on-run-start, which some of them need, does not run.
-#}
{% macro run_hooks(hooks, inside_transaction=True) -%}
    {%- if flags.WHICH != 'clone' -%}
        {{ dbt.run_hooks(hooks, inside_transaction) }}
    {%- endif -%}
{%- endmacro %}
