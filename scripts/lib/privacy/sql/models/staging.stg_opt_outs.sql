delete from {staging}.stg_opt_outs as staged
using people_in_marts as people
where staged.id_kind = people.kind and staged.id = people.id
