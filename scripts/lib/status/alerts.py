"""Limits of metrics, by seed `alerts`: who is told that one is passed, and that it is over."""

from __future__ import annotations

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from collector.connection import described, open_connection
from scripts.lib.base.alert import alert
from scripts.lib.base.cli import UserError, say
from scripts.lib.base.settings import Settings
from scripts.lib.dbt.target import layer_schema

_ALERTS = "select * from rpt_alerts order by alert"
_TOLD = "select alert from alerts_told"
# One at a time tells; another build waits and finds what was told.
_ALONE = "lock table alerts_told in exclusive mode"


def tell_alerts(settings: Settings, database_url: str) -> None:
    """Posts each alert once when it starts and once when it is over, and remembers what was told.

    What cannot be posted is tried again after the next build. Raises UserError where it cannot be
    posted, or where no build has made the view of alerts yet.
    """
    database = described(database_url)
    schemas = [layer_schema(settings, layer) for layer in ("reports", "staging")]
    path = sql.SQL(", ").join(map(sql.Identifier, schemas))
    with open_connection(database_url, row_factory=dict_row, connect_timeout=10) as connection:
        connection.execute(
            "select set_config('search_path', %s, false)", [path.as_string(connection)]
        )
        try:
            connection.execute(_ALONE)
            rows = {row["alert"]: row for row in connection.execute(_ALERTS).fetchall()}
        except psycopg.errors.UndefinedTable:
            raise UserError("no alerts are there yet; run scripts/dbt build") from None
        told = {row["alert"] for row in connection.execute(_TOLD).fetchall()}
        on = {name for name, row in rows.items() if row["is_on"]}
        for name in sorted(on ^ told):
            started = name in on
            text = _text(name, rows.get(name), started=started)
            say(f"{'alert' if started else 'over'}: {text}")
            alert(settings.alert_webhook_url, "alert" if started else "over", database, text)
            if started:
                connection.execute("insert into alerts_told (alert) values (%s)", [name])
            else:
                connection.execute("delete from alerts_told where alert = %s", [name])
            connection.commit()
            connection.execute(_ALONE)


def _text(name: str, row: dict[str, object] | None, *, started: bool) -> str:
    """What is posted: the alert in its own words, and the numbers that it compares."""
    if row is None:
        return f"{name}: no longer in the seed alerts"
    what = f"{row['metric']} of {row['subject']}" if row["subject"] else row["metric"]
    unit = " %" if str(row["metric"]).endswith("_rate") else ""
    now, before = (
        "–" if row[column] is None else f"{row[column]:,.10g}{unit}"  # noqa: RUF001
        for column in ("value_now", "value_before")
    )
    end = "" if started else "over: "
    return f"{name}: {end}{row['description']} ({what}: {now}, a week before {before})"
