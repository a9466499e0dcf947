{#-
    Hosts of URLs, read as browsers read them (https://url.spec.whatwg.org): blanks around and line
    breaks within do not count, nor how many slashes follow the scheme, nor which ones; what stands
    before the last @ is a login and no host; case does not matter. The host is then without its
    port, final dots and `www.`, so that one site has one name; IPv6 keeps its brackets.

    Null where there is none: another scheme than http, https and the two that mobile applications
    name themselves with, a text without scheme, a port that is no number, a host with a character
    that none can have or percent-encoded. Names that are not ASCII stay as they are, in lower case, and so do addresses.
-#}
{% macro url_host(url) -%}
    {%- set blanks = '[\\u0001-\\u0020]' -%}
    {%- set character = '[^\\u0001-\\u0020\\u007f/\\\\?#@:<>\\[\\]^|%]' -%}
    {%- set authority = '(?:[^/\\\\?#]*@)?(\\[[0-9a-f:.]+\\]|' ~ character ~ '+)(?::[0-9]*)?(?:[/\\\\?#].*)?' -%}
    case
        -- What nearly all are needs no more than a cut.
        when {{ url }} ~ '^https?://([a-z0-9-]+[.])+[a-z0-9-]+(/|$)'
            then left(
                case
                    when split_part({{ url }}, '/', 3) like 'www.%.%' then substr(split_part({{ url }}, '/', 3), 5)
                    else split_part({{ url }}, '/', 3)
                end, 256
            )
        else nullif(left(
            regexp_replace(
                rtrim(
                    substring(
                        lower(regexp_replace({{ url }}, '^{{ blanks }}+|{{ blanks }}+$|[\t\n\r]', '', 'g'))
                        from '^(?:https?:[/\\]*|(?:android|ios)-app://){{ authority }}$'
                    ),
                    '.'
                ),
                '^www[.](?=[^.]+[.])', ''
            ),
            256
        ), '')
    end
{%- endmacro %}


{#-
    The host of a referrer, where that is another site: nobody comes from where they are, nor from
    where they were sent to pay or sign in (seed `unwanted_referrals`). The limit keeps each host
    computed once and not at every use.
-#}
{% macro referring_host(referrer, url) -%}
    {{ return(adapter.dispatch('referring_host')(referrer, url)) }}
{%- endmacro %}


{% macro default__referring_host(referrer, url) -%}
    (
        select
            case
                when
                    not {{ is_host_of('hosts.referrer', 'unwanted_referrals') }}
                    and (hosts.own is null or hosts.referrer <> hosts.own)
                    then hosts.referrer
            end
        from (select {{ url_host(referrer) }} as referrer, {{ url_host(url) }} as own limit 1) as hosts
    )
{%- endmacro %}


{#-
    Whether a host is one of a seed's, or a subdomain of one. The patterns are made once a query.
-#}
{% macro is_host_of(host, seed) -%}
    {{ return(adapter.dispatch('is_host_of')(host, seed)) }}
{%- endmacro %}


{% macro default__is_host_of(host, seed) -%}
    coalesce(
        '.' || {{ host }} like any (array(
            select '%.' || regexp_replace(seed.host, '([\\%_])', '\\\1', 'g')
            from {{ ref(seed).render() }} as seed
        )),
        false
    )
{%- endmacro %}


{#-
    JSON without the logins of the URLs in its texts, `https://user:password@host`: they are
    personal, and never what an event is about. What is taken out has neither quotes, blanks nor
    single backslashes in it, so that what is left is JSON.
-#}
{% macro without_logins(json) -%}
    case
        when {{ json }}::text like '%@%' and {{ json }}::text ~* '{{ login_pattern() }}'
            then regexp_replace({{ json }}::text, '{{ login_pattern() }}', '\1', 'gi')::jsonb
        else {{ json }}
    end
{%- endmacro %}


{#-
    Bounded wherever a text could have many beginnings of a match that all fail at its end: the cost
    of a search follows the text's length. A login of more than eight colons and @ is not found.
-#}
{% macro login_pattern() -%}
    {%- set part = '[^/\\\\?#"\\s:@]*' -%}
    ((?:https?|ftp|wss?):(?:/|\\\\)*|[a-z][a-z0-9+.-]{0,30}://)(?:{{ part }}[:@]){0,8}{{ part }}@
{%- endmacro %}
