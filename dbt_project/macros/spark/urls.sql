{% macro spark__referring_host(referrer, url) -%}
    referring_host(
        {{ url_host(referrer) }}, {{ url_host(url) }},
        (select array_agg(seed.host) from {{ ref('unwanted_referrals').render() }} as seed)
    )
{%- endmacro %}


{% macro spark__is_host_of(host, seed) -%}
    is_host_of({{ host }}, (select array_agg(seed.host) from {{ ref(seed).render() }} as seed))
{%- endmacro %}
