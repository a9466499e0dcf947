"""Settings: defaults, where each comes from, and what a malformed one says."""

from __future__ import annotations

import pytest

from collector.settings import ROOT, SETTINGS, Settings


def test_defaults() -> None:
    settings = Settings.from_environment({})
    assert settings == Settings(
        source_database_url=None,
        destination_database_url=None,
        migration_database_url=None,
        data_directory=ROOT / ".headwater",
        host="127.0.0.1",
        port=3000,
        workers=1,
        dbt_target="prod",
        dbt_schema="dev_analyst",
        max_header_bytes=32 * 1024,
        header_timeout_seconds=10,
        max_body_bytes=4 * 1024 * 1024,
        max_inflated_bytes=16 * 1024 * 1024,
        max_event_bytes=1024 * 1024,
        max_events=5000,
        max_waiting_bytes=32 * 1024 * 1024,
        body_timeout_seconds=30,
        segment_unknown_events="accept",
        allowed_hosts=(),
        cors_origins=(),
        forwarded_allow_ips="",
        log_requests=False,
        api_key="",
        alert_webhook_url="",
    )


def test_one_database_for_everything() -> None:
    settings = Settings.from_environment({"DATABASE_URL": "a"})
    assert settings.source_database_url == "a"
    assert settings.destination_database_url == "a"
    assert settings.migration_database_url == "a"


def test_separate_databases() -> None:
    environment = {"DATABASE_URL": "a", "SOURCE_DATABASE_URL": "b", "DESTINATION_DATABASE_URL": ""}
    settings = Settings.from_environment(environment)
    assert settings.source_database_url == "b"
    assert settings.destination_database_url == "a"
    assert settings.migration_database_url == "b"


def test_each_documented_setting_is_read() -> None:
    """A value that no default has must show up in the settings."""
    for name, default, meaning in SETTINGS:
        value = "17" if default.isdecimal() else "on" if default == "off" else "/elsewhere"
        value = {"SEGMENT_UNKNOWN_EVENTS": "reject"}.get(name, value)
        assert Settings.from_environment({name: value}) != Settings.from_environment({}), name
        assert meaning


@pytest.mark.parametrize("value", ["-1", "65536", "eighty", "8.0", "²", "9" * 5000])
def test_malformed_port(value: str) -> None:
    with pytest.raises(ValueError, match="PORT must be a number from 0 to 65535"):
        Settings.from_environment({"PORT": value})


@pytest.mark.parametrize(
    "name",
    [
        "MAX_HEADER_BYTES",
        "HEADER_TIMEOUT_SECONDS",
        "MAX_BODY_BYTES",
        "MAX_INFLATED_BYTES",
        "MAX_EVENT_BYTES",
        "MAX_EVENTS",
        "MAX_WAITING_BYTES",
        "BODY_TIMEOUT_SECONDS",
    ],
)
def test_malformed_limit(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a number from 1 to "):
        Settings.from_environment({name: "0"})


def test_list_of_origins() -> None:
    environment = {"CORS_ORIGINS": "https://a.example, https://b.example,"}
    settings = Settings.from_environment(environment)
    assert settings.cors_origins == ("https://a.example", "https://b.example")


def test_malformed_choice() -> None:
    with pytest.raises(ValueError, match="LOG_REQUESTS must be off or on, not 'yes'"):
        Settings.from_environment({"LOG_REQUESTS": "yes"})
