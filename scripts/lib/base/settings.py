"""The settings of the commands: the collector's, and their own."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Self

from collector.settings import ROOT, documented, number, setting, url_of_database
from collector.settings import Settings as CollectorSettings

# How old data of the last good build may be, unless a command is told otherwise.
MAX_AGE = timedelta(hours=1)

# With a layer, `_intermediate` the longest, it fits into the 63 bytes of PostgreSQL's names, and
# with what dbt's connections call themselves (scripts/lib/dbt/lock.py) as well.
_MOST_CHARACTERS = 40


def schema_name(name: str) -> str:
    """What the schemas of a developer are called: `name`, if PostgreSQL takes it without quotes.

    Else what is left of it, with a hash, so that no two names become one.
    """
    if re.fullmatch(rf"(?!pg_)[a-z_][a-z0-9_]{{,{_MOST_CHARACTERS - 1}}}", name):
        return name
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^a-z0-9]+", "_", ascii_only.lower()).strip("_")
    if not plain or plain[0].isdigit() or plain.startswith("pg_"):
        plain = f"dev_{plain}"
    fingerprint = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain[: _MOST_CHARACTERS - 9]}_{fingerprint}"


def given_schema(environment: Mapping[str, str] = os.environ) -> str:
    """What DBT_SCHEMA says, or who runs the command."""
    return environment.get("DBT_SCHEMA") or f"dev_{environment.get('USER') or 'analyst'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(CollectorSettings):
    """Settings of one process. URLs are empty where the embedded PostgreSQL is to be used."""

    destination_database_url: str = setting(
        "", "Where dbt builds the marts", url_of_database, like="database_url"
    )
    migration_database_url: str = setting(
        "",
        "The source as the owner of raw: scripts/migrate, scripts/link",
        url_of_database,
        like="source_database_url",
    )
    headwater_data: str = setting(".headwater", "Folder of the embedded PostgreSQL and other state")
    dbt_target: str = setting("prod", "dbt's target: prod, or dev for schemas of one's own")
    dbt_schema: str = setting(
        "dev_USER", "What the names of schemas begin with where dbt's target is not prod"
    )
    api_key: str = setting("", "Key that scripts/replay and scripts/demo send")
    alert_webhook_url: str = setting(
        "", "Where builds, scripts/status and scripts/link --check post what is wrong"
    )
    retain_events_days: int = setting(
        0, "Days after which scripts/dbt build drops events from raw; 0: never", number(0, 36_500)
    )
    retain_rejected_days: int = setting(
        0, "Days after which it drops the text of what was refused; 0: never", number(0, 36_500)
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """As the collector's; the name of a schema is made one that PostgreSQL takes."""
        schema = schema_name(given_schema(environment))
        return super(Settings, cls).from_environment({**environment, "DBT_SCHEMA": schema})

    @property
    def data_directory(self) -> Path:
        """HEADWATER_DATA, relative to the checkout."""
        return (ROOT / self.headwater_data).resolve()


SETTINGS = documented(Settings)
