"""A build says the first rows that make a data test fail, and nothing personal of them."""

from __future__ import annotations

from tests.support.warehouse import Warehouse, page_view


def test_first_rows_of_failing_tests_are_said_without_personal_data(warehouse: Warehouse) -> None:
    people = ["17", "+49 170 1234567", "555-234-5678"]
    warehouse.land(*(page_view(f"of-{user}", user) for user in people))
    warehouse.run("--select", "+dim_users")
    warehouse.execute(
        "do $$ declare name text; begin for name in select conname from pg_constraint"
        " where conrelid = 'marts.dim_users'::regclass and contype = 'p' loop execute"
        " format('alter table marts.dim_users drop constraint %I', name); end loop; end $$"
    )
    warehouse.execute("insert into marts.dim_users select * from marts.dim_users")
    failed = warehouse.try_dbt("test", "--select", "dim_users,test_name:unique")
    assert failed.returncode == 1
    said = [line for line in failed.stdout.splitlines() if " fails with " in line]
    assert len(said) == 3
    rows = sorted(line.partition(" fails with ")[2] for line in said)
    assert rows == [
        "user_id (personal), n_records 2",
        "user_id (personal), n_records 2",
        "user_id 17, n_records 2",
    ]
    assert "example.com" not in "".join(said)
