{#-
    Whether times are shown as they are: up to 5,000 of a kind a page can carry each one.
-#}
{% macro is_exact(kind) -%}
    count(*) over (partition by {{ kind }}) <= 5000
{%- endmacro %}


{#-
    A time rounded so that its error is below 1 %, for a page to carry counted times, however many
    there are. Percentiles of rounded times keep the bound, since each lies between two times. A
    doubling of time has 36 steps; a step stands for its bounds by their harmonic mean, whose
    relative error is the same at both (DDSketch, VLDB 2019, section 2.1). Below one second
    milliseconds stay.
-#}
{% macro within_one_percent(seconds) -%}
    case
        when {{ seconds }} < 1 then {{ seconds }}
        else
            round(
                (
                    2 / (1 + 2 ^ (1 / 36.0::float))
                    * 2 ^ ((floor(36 * ln({{ seconds }}::float) / ln(2::float) + 1e-9) + 1) / 36)
                )::numeric,
                4
            )
    end
{%- endmacro %}
