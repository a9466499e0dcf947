"""Every setting, read from environment variables in this one place.

The README's table of settings is checked against `Settings` by a test.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Name, default (that of another one, or as text) and meaning of each variable.
SETTINGS = (
    ("DATABASE_URL", "", "One PostgreSQL for everything; without it, the embedded one"),
    ("SOURCE_DATABASE_URL", "DATABASE_URL", "Where raw events and users land"),
    ("DESTINATION_DATABASE_URL", "DATABASE_URL", "Where dbt builds the marts"),
    (
        "MIGRATION_DATABASE_URL",
        "SOURCE_DATABASE_URL",
        "The source as the owner of raw: scripts/migrate, scripts/link",
    ),
    ("HEADWATER_DATA", ".headwater", "Folder of the embedded PostgreSQL and other state"),
    ("HOST", "127.0.0.1", "Address that the collector, or scripts/site --serve, listens on"),
    ("PORT", "3000", "Port the collector listens on"),
    ("WORKERS", "1", "Processes that share PORT, each with its metrics on a port after it"),
    ("DBT_TARGET", "prod", "dbt's target: prod, or dev for schemas of one's own"),
    (
        "DBT_SCHEMA",
        "dev_USER",
        "What the names of schemas begin with where dbt's target is not prod",
    ),
    ("MAX_HEADER_BYTES", "32768", "Largest request line and headers"),
    ("HEADER_TIMEOUT_SECONDS", "10", "Longest time to send the headers in"),
    ("MAX_BODY_BYTES", "4194304", "Largest body of a request"),
    ("MAX_INFLATED_BYTES", "16777216", "Largest body once inflated"),
    ("MAX_EVENT_BYTES", "1048576", "Largest event or user"),
    ("MAX_EVENTS", "5000", "Most events in a request"),
    (
        "MAX_WAITING_BYTES",
        "33554432",
        "Most bytes being read or waiting to be stored; more answers 429",
    ),
    ("BODY_TIMEOUT_SECONDS", "30", "Longest time to send a body in"),
    (
        "SEGMENT_UNKNOWN_EVENTS",
        "accept",
        "Events that Segment's SDKs track under names that no seed lists: accept or reject",
    ),
    (
        "ALLOWED_HOSTS",
        "",
        "Hosts besides localhost that keyless requests and local sites may name, or *",
    ),
    ("CORS_ORIGINS", "", "Origins whose pages may call the API, comma-separated, or *"),
    ("FORWARDED_ALLOW_IPS", "", "Proxies whose X-Forwarded-* headers are believed, or *"),
    ("LOG_REQUESTS", "off", "Whether each request is a line of the log, in JSON: on or off"),
    ("API_KEY", "", "Key that scripts/replay and scripts/demo send"),
    ("ALERT_WEBHOOK_URL", "", "Where scripts/status posts what is wrong with the builds"),
)
_GIBIBYTE = 2**30
_DEFAULTS = {name: default for name, default, _ in SETTINGS}


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one process, all with safe defaults.

    `source_database_url` and `destination_database_url` are None where the embedded PostgreSQL is
    to be used. Sizes are bytes, times seconds.
    """

    source_database_url: str | None
    destination_database_url: str | None
    migration_database_url: str | None
    data_directory: Path
    host: str
    port: int
    workers: int
    dbt_target: str
    dbt_schema: str
    max_header_bytes: int
    header_timeout_seconds: int
    max_body_bytes: int
    max_inflated_bytes: int
    max_event_bytes: int
    max_events: int
    max_waiting_bytes: int
    body_timeout_seconds: int
    segment_unknown_events: str
    allowed_hosts: tuple[str, ...]
    cors_origins: tuple[str, ...]
    forwarded_allow_ips: str
    log_requests: bool
    api_key: str
    alert_webhook_url: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Reads the settings; raises ValueError with the variable's name where one is malformed.

        An empty variable counts as unset.
        """

        def text(name: str) -> str:
            return environment.get(name) or _DEFAULTS[name]

        def number(name: str, low: int, high: int) -> int:
            value = text(name)
            if not (value.isascii() and value.isdecimal() and low <= int(value[:20]) <= high):
                raise ValueError(f"{name} must be a number from {low} to {high}, not {value!r}")
            return int(value)

        def choice(name: str, *values: str) -> str:
            if text(name) not in values:
                raise ValueError(f"{name} must be {' or '.join(values)}, not {text(name)!r}")
            return text(name)

        def several(name: str) -> tuple[str, ...]:
            return tuple(filter(None, map(str.strip, text(name).split(","))))

        database_url = environment.get("DATABASE_URL") or None
        source = environment.get("SOURCE_DATABASE_URL") or database_url
        return cls(
            source_database_url=source,
            destination_database_url=environment.get("DESTINATION_DATABASE_URL") or database_url,
            migration_database_url=environment.get("MIGRATION_DATABASE_URL") or source,
            data_directory=(ROOT / text("HEADWATER_DATA")).resolve(),
            host=text("HOST"),
            port=number("PORT", 0, 65535),
            workers=number("WORKERS", 1, 64),
            dbt_target=text("DBT_TARGET"),
            dbt_schema=environment.get("DBT_SCHEMA")
            or f"dev_{environment.get('USER') or 'analyst'}",
            max_header_bytes=number("MAX_HEADER_BYTES", 1, _GIBIBYTE),
            header_timeout_seconds=number("HEADER_TIMEOUT_SECONDS", 1, 3600),
            max_body_bytes=number("MAX_BODY_BYTES", 1, _GIBIBYTE),
            max_inflated_bytes=number("MAX_INFLATED_BYTES", 1, _GIBIBYTE),
            max_event_bytes=number("MAX_EVENT_BYTES", 1, _GIBIBYTE),
            max_events=number("MAX_EVENTS", 1, 50_000),
            max_waiting_bytes=number("MAX_WAITING_BYTES", 1, _GIBIBYTE),
            body_timeout_seconds=number("BODY_TIMEOUT_SECONDS", 1, 3600),
            segment_unknown_events=choice("SEGMENT_UNKNOWN_EVENTS", "accept", "reject"),
            allowed_hosts=tuple(map(str.lower, several("ALLOWED_HOSTS"))),
            cors_origins=several("CORS_ORIGINS"),
            forwarded_allow_ips=text("FORWARDED_ALLOW_IPS"),
            log_requests=choice("LOG_REQUESTS", "off", "on") == "on",
            api_key=text("API_KEY"),
            alert_webhook_url=text("ALERT_WEBHOOK_URL"),
        )
