{#- Who an opt-out is of: a user, whose an anonymous id is, or the visitor. -#}
{% macro opted_out_person(opt_outs, identities) -%}
    case
        when {{ opt_outs }}.id_kind = 'user' then {{ opt_outs }}.id
        else coalesce({{ identities }}.user_id, {{ anonymous_user_id(opt_outs ~ '.id') }})
    end
{%- endmacro %}


{#- Whether a person had opted out when something of theirs came. -#}
{% macro is_opted_out(user_id, received_at) -%}
    exists (
        select 1 from {{ ref('int_opt_outs').render() }} as opt_outs
        where
            opt_outs.user_id = {{ user_id }}
            and {{ received_at }} >= opt_outs.opted_out_at
            and {{ received_at }} < opt_outs.opted_in_at
    )
{%- endmacro %}


{#- A condition on no row: where it does not hold, PostgreSQL does not begin with what it is on. -#}
{% macro anybody_opted_out() -%}
    exists (select 1 from {{ ref('stg_opt_outs').render() }})
{%- endmacro %}


{#-
    Columns of the events of some people, `people` having their `user_id`. Three joins by equal ids: those
    that name the user, those of a visitor who is known by now, those of one who is not.
-#}
{% macro events_of_people(people, events, columns) -%}
    select
        people.user_id,
        {{ columns | join(', ') }}

    from {{ people }} as people

    inner join {{ events }} as events on people.user_id = events.user_id

    union all

    select
        people.user_id,
        {{ columns | join(', ') }}

    from {{ people }} as people

    inner join {{ ref('int_identities').render() }} as identities on people.user_id = identities.user_id

    inner join {{ events }} as events on identities.anonymous_id = events.anonymous_id

    where events.user_id is null

    union all

    select
        people.user_id,
        {{ columns | join(', ') }}

    from {{ people }} as people

    inner join {{ events }} as events on people.user_id = {{ anonymous_user_id('events.anonymous_id') }}

    left join {{ ref('int_identities').render() }} as identities on events.anonymous_id = identities.anonymous_id

    where
        events.user_id is null
        and identities.user_id is null
{%- endmacro %}
