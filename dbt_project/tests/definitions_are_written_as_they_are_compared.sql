-- Hosts, sources and ids of seeds are compared in lower case, hosts without what stands around them.
select
    'unwanted_referrals' as seed,
    host as definition,
    {{ url_host("'https://' || host") }} as compared_as

from {{ ref('unwanted_referrals') }}

where host is distinct from {{ url_host("'https://' || host") }}

union all

select
    'traffic_sources' as seed,
    name as definition,
    lower(btrim(name)) as compared_as

from {{ ref('traffic_sources') }}

where
    name <> lower(btrim(name))
    or name like 'www.%'

union all

select
    'illegal_ids' as seed,
    id as definition,
    lower(btrim(id)) as compared_as

from {{ ref('illegal_ids') }}

where id <> lower(btrim(id))
