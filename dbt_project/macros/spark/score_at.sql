{% macro spark__join_score_at(scores, user_id, moment) -%}
    left join {{ scores }} as score_then
        on
            {{ user_id }} = score_then.user_id
            and score_then.valid_from <= {{ moment }}
            and coalesce({{ moment }} < score_then.valid_to, true)
{%- endmacro %}
