-- Hosts, sources and ids of seeds are compared in lower case, hosts without what stands around them.
select
    host,
    null as name,
    null as id,
    {{ url_host("'https://' || host") }} as compared_as

from {{ ref('unwanted_referrals') }}

where host is distinct from {{ url_host("'https://' || host") }}

union all

select
    null as host,
    name,
    null as id,
    lower(btrim(name)) as compared_as

from {{ ref('traffic_sources') }}

where
    name <> lower(btrim(name))
    or name like 'www.%'

union all

select
    null as host,
    null as name,
    id,
    lower(btrim(id)) as compared_as

from {{ ref('illegal_ids') }}

where id <> lower(btrim(id))
