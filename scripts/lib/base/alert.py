"""Tells whoever runs Headwater that something is wrong: setting ALERT_WEBHOOK_URL."""

from __future__ import annotations

import msgspec
import urllib3

from scripts.lib.base.cli import UserError


def alert(url: str, status: str, database: str, text: str) -> None:
    """Posts what is wrong as JSON, where there is a `url`. Raises UserError if nobody takes it."""
    if not url:
        return
    message = msgspec.json.encode({"status": status, "database": database, "text": text})
    try:
        answer = urllib3.request(
            "POST", url, body=message, timeout=10, retries=False,
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        # Not the error itself, which quotes the URL: it is as good as a password.
        raise UserError(f"ALERT_WEBHOOK_URL: no answer ({type(error).__name__})") from None
    if answer.status >= 300:
        raise UserError(f"ALERT_WEBHOOK_URL answered {answer.status}")
