{#-
    Joins the last period of a score that begins before a moment, of the same user, as `score_then`.
    In PostgreSQL by index: what is found is another user's where this one has none, and the user's score
    then where it has one, since periods have no gaps. Users and times are compared as one, since that
    goes by the index on both alone; by the user and the time apart, the planner takes the one on times
    and reads those of all users, where it expects one user to have most of them.
-#}
{% macro join_score_at(scores, user_id, moment) -%}
    {{ return(adapter.dispatch('join_score_at')(scores, user_id, moment)) }}
{%- endmacro %}


{% macro default__join_score_at(scores, user_id, moment) -%}
    left join lateral (
        select *
        from {{ scores }} as score
        where (score.user_id, score.valid_from) <= ({{ user_id }}, {{ moment }})
        order by score.user_id desc, score.valid_from desc
        limit 1
    ) as score_then on {{ user_id }} = score_then.user_id
{%- endmacro %}
