{#- Fails for every value that is no score; null passes. -#}
{% test is_score(model, column_name) %}

select {{ column_name }}

from {{ model }}

where not {{ is_score(column_name) }}

{% endtest %}
