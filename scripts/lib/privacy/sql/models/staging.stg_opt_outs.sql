delete from {staging}.stg_opt_outs as staged
using named_people as people
where
    staged.id_kind = people.kind
    and staged.id = case
        when people.kind = 'user' and ltrim(people.id, '~') like 'anonymous:%' then '~' || people.id
        else people.id
    end
