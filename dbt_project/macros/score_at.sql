{#-
    The last period of a score that begins before a moment, to be joined on the user: it is another
    user's where this one has none, and the user's score then where it has one, since periods have
    no gaps. Users and times are compared as one, since that goes by the index on both alone; by the
    user and the time apart, the planner takes the one on times and reads those of all users, where
    it expects one user to have most of them.
-#}
{% macro score_at(scores, user_id, moment) -%}
    select *
    from {{ scores }} as score
    where (score.user_id, score.valid_from) <= ({{ user_id }}, {{ moment }})
    order by score.user_id desc, score.valid_from desc
    limit 1
{%- endmacro %}
