{#- A campaign parameter; how it is written does not make it another one. -#}
{% macro campaign_value(value) -%}
    nullif(lower(btrim({{ json_text(value) }})), '')
{%- endmacro %}


{#- The campaign that every message of Segment's SDKs carries in its context, under the contract's names. -#}
{% macro segment_campaign(campaign) -%}
    case
        when jsonb_typeof({{ campaign }}) = 'object'
            then jsonb_strip_nulls(jsonb_build_object(
                'utmSource', {{ campaign }} -> 'source',
                'utmMedium', {{ campaign }} -> 'medium',
                'utmCampaign', {{ campaign }} -> 'name'
            ))
        else '{}'::jsonb
    end
{%- endmacro %}
