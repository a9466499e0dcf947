{#-
    Counts over a whole fact are kept by what changes in it. A fact whose `meta.counted` names
    columns notes, in the transaction that changes its rows, which values of these columns came
    and went (`changed_rows`). A model with `meta.changes_of` reads each note once: since it is as
    far as the fact itself, however far that is, its mark is the build that read.
-#}

{#-
    Rows of a fact that came (`change` 1) and went (-1) since the model last read them, with values
    in the counted columns alone. A model that is computed whole reads all rows, as having come.
-#}
{% macro changes_of(fact) -%}
    {%- set relation = ref(fact) -%}
    {%- set mark = low_mark() | int -%}
    {%- if mark == 0 -%}
        (select *, 1 as change from {{ relation }}) as changes
    {%- else -%}
        (
            select facts.*, changed_rows.change
            from {{ changed_rows() }} as changed_rows
            cross join jsonb_populate_record(null::{{ relation.include(database=false).render() }}, changed_rows.row_values) as facts
            where changed_rows.model_name = {{ mark_name(relation) }} and changed_rows.build_id > {{ mark }}
            {%- if invocation_args_dict.get('empty') %} and false{% endif %}
        ) as changes
    {%- endif -%}
{%- endmacro %}


{#- Whether the model goes on from what it holds, or is computed whole. -#}
{% macro continues() -%}
    {{ return(low_mark() | int > 0) }}
{%- endmacro %}


{#- Notes the counted columns of rows of which each has its `change`. -#}
{% macro note_counted(versions) %}
    {%- set counted = config.get('meta').counted -%}
    insert into {{ changed_rows() }} (model_name, build_id, row_values, change)
    select
        {{ mark_name(this) }},
        {{ build_id() }},
        jsonb_build_object({% for column in counted %}'{{ column }}', {{ column }}{{ ', ' if not loop.last }}{% endfor %}),
        sum(change)
    from {{ versions }}
    group by {{ counted | join(', ') }}
    having sum(change) <> 0
{% endmacro %}


{#-
    Part of `advance_watermark`: when a fact was computed whole, its readers are next time, and its
    notes are void; else those that every reader has read can go.
-#}
{% macro forget_changes() %}
    {%- if config.get('meta', {}).get('counted') %}
    {%- set readers = [] -%}
    {%- for node in graph.nodes.values() if node.config.get('meta', {}).get('changes_of') == model.name -%}
        {%- do readers.append(mark_name(node)) -%}
    {%- endfor -%}
    {%- if not continues() %}
    update {{ watermarks() }} set build_id = 0 where model_name in ({{ readers | join(', ') }});
    delete from {{ changed_rows() }} where model_name = {{ mark_name(this) }};
    {%- else %}
    delete from {{ changed_rows() }}
    where
        model_name = {{ mark_name(this) }}
        and build_id <= coalesce(
            (select min(marks.build_id) from {{ watermarks() }} as marks where marks.model_name in ({{ readers | join(', ') }})),
            {{ build_id() }}
        );
    {%- endif %}
    {%- endif %}
{% endmacro %}
