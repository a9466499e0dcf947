"""Settings: defaults, where each comes from, and what a malformed one says."""

from __future__ import annotations

from dataclasses import fields

import pytest

from collector.settings import ROOT
from collector.settings import Settings as CollectorSettings
from scripts.lib.base.settings import SETTINGS, Settings

NUMBERS = [each.name.upper() for each in fields(Settings) if isinstance(each.default, int)]


def test_defaults() -> None:
    assert CollectorSettings.from_environment({}) == CollectorSettings()
    settings = Settings.from_environment({name: "" for name, *_ in SETTINGS})
    assert settings == Settings(dbt_schema="dev_analyst")
    assert settings.data_directory == ROOT / ".headwater"
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 3000, 1)
    assert Settings.from_environment({"USER": "ada"}).dbt_schema == "dev_ada"


def test_one_database_for_everything() -> None:
    settings = Settings.from_environment({"DATABASE_URL": "dbname=a"})
    assert settings.source_database_url == "dbname=a"
    assert settings.destination_database_url == "dbname=a"
    assert settings.migration_database_url == "dbname=a"


WORDS = {
    "SEGMENT_UNKNOWN_EVENTS": "reject",
    "OPTED_OUT": "raw",
    "PRIVACY_SIGNALS": "gpc",
    "AFTER_ERASURE": "refuse",
}


def test_separate_databases() -> None:
    settings = Settings.from_environment(
        {
            "DATABASE_URL": "dbname=a",
            "SOURCE_DATABASE_URL": "dbname=b",
            "DESTINATION_DATABASE_URL": "",
        }
    )
    assert settings.source_database_url == "dbname=b"
    assert settings.destination_database_url == "dbname=a"
    assert settings.migration_database_url == "dbname=b"


def test_each_documented_setting_is_read() -> None:
    """A value that no default has must show up in the settings."""
    for name, default, meaning in SETTINGS:
        is_number = default.isdecimal() or name in NUMBERS
        value = "17" if is_number else "on" if default == "off" else "host=/elsewhere"
        value = WORDS.get(name, value)
        assert Settings.from_environment({name: value}) != Settings.from_environment({}), name
        assert meaning


@pytest.mark.parametrize("value", ["-1", "65536", "eighty", "8.0", "²", "9" * 5000])
def test_malformed_port(value: str) -> None:
    with pytest.raises(ValueError, match="PORT must be a number from 0 to 65535"):
        Settings.from_environment({"PORT": value})


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["-1", "1073741825"])
def test_malformed_number(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a number from [01] to "):
        Settings.from_environment({name: value})


@pytest.mark.parametrize("name", ["DATABASE_URL", "DESTINATION_DATABASE_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "postgresql//owner:s3cret@db.internal/headwater", "mysql://u:s3cret@h/x", "u:s3cret@h/x",
        "postgresql://u:p@s3cret@h/x", "postgresql://u:p/s3cret@h/x", "postgresql://u:5/s3cret@h/x",
        "postgresql://u:s3cret%@h/x", "postgresql://u:p@h:s3cret/x", "host=h password='s3cret",
    ],
)  # fmt: skip
def test_mistyped_url_keeps_its_password_to_itself(name: str, url: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be as postgresql://USER") as refused:
        Settings.from_environment({name: url})
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%40%2F%3A%25@h:5432/x?sslmode=require", "postgres://h/x",
        "postgresql://postgres:@/x?host=/tmp/a", "postgresql://a,b:5433/x",
        "postgresql://h1:1,h2:2/x", "host=/tmp user=u@corp password=p@ss dbname=x", "service=x",
        "postgresql://[::1]:5432/x",
    ],
)  # fmt: skip
def test_what_libpq_takes_is_taken(url: str) -> None:
    assert Settings.from_environment({"DATABASE_URL": url}).database_url == url


def test_list_of_origins() -> None:
    environment = {"CORS_ORIGINS": "https://a.example, https://B.example,"}
    settings = Settings.from_environment(environment)
    assert settings.cors_origins == ("https://a.example", "https://b.example")


def test_malformed_choice() -> None:
    with pytest.raises(ValueError, match="LOG_REQUESTS must be off or on, not 'yes'"):
        Settings.from_environment({"LOG_REQUESTS": "yes"})
