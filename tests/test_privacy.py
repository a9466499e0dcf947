"""Email, name and the key of the email hash stay in the database."""

from __future__ import annotations

import hmac

import pytest

from tests.warehouse import Warehouse


def test_nothing_personal_leaves_the_database(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBT_LOG_LEVEL_FILE", "debug")
    warehouse.execute(
        """
        insert into raw.users (received_at, occurred_at, source, user_id, payload)
        values (now(), now(), 'default', '1', %s)
        """,
        '{"email": "Ada.Lovelace@example.com", "name": "Ada Lovelace", "ficoScore": 720}',
    )
    warehouse.build()
    warehouse.dbt("docs", "generate")
    [(inner_pad, outer_pad)] = warehouse.query(
        "select encode(inner_pad, 'hex'), encode(outer_pad, 'hex') from secret.email_hash_key"
    )
    written = [path for path in warehouse.project.parent.rglob("*") if path.is_file()]
    assert len(written) > 50
    assert warehouse.project / "logs/dbt.log" in written
    for path in written:
        content = path.read_bytes().lower()
        for secret in ("lovelace", inner_pad, outer_pad):
            assert secret.encode() not in content, path

    # HMAC-SHA256 of the lower-cased address, by Python's own implementation.
    key_pads = warehouse.query("select inner_pad from secret.email_hash_key")
    key = bytes(byte ^ 0x36 for byte in bytes(key_pads[0][0]))
    expected = hmac.new(key, b"ada.lovelace@example.com", "sha256").hexdigest()
    assert warehouse.query("select email_hash, score_band from marts.dim_users") == [
        (expected, "good")
    ]
