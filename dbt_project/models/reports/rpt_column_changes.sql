with

versions as (

    select
        *,
        min(since_build_id) over (partition by mart) as mart_since_build_id,
        lag(data_type) over columns as type_before,
        lag(until_build_id) over columns as until_build_id_before,
        lead(since_build_id) over columns as since_build_id_after

    from {{ mart_columns() }}

    window columns as (
        partition by mart, column_name
        order by since_build_id
    )

),

changes as (

    select
        since_build_id as build_id,
        mart,
        column_name,
        case when until_build_id_before = since_build_id then 'type changed' else 'added' end as change,
        case when until_build_id_before = since_build_id then type_before end as type_before,
        data_type as type_after

    from versions

    where since_build_id > mart_since_build_id

    union all

    select
        until_build_id as build_id,
        mart,
        column_name,
        'removed' as change,
        data_type as type_before,
        null as type_after

    from versions

    where
        until_build_id is not null
        and until_build_id is distinct from since_build_id_after

),

final as (

    select
        changes.mart,
        changes.column_name,
        changes.build_id,
        {{ report_date('builds.started_at') }} as changed_on,
        changes.change,
        changes.type_before,
        changes.type_after

    from changes

    inner join {{ builds() }} as builds on changes.build_id = builds.build_id

)

select * from final
