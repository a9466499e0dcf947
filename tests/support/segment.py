"""Messages of Segment's SDKs."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.api import SECRET

TIME, LATER = "2026-01-31T12:00:00.123Z", "2026-01-31T12:00:01.500000+00:00"
# As segment-analytics-python sends them: what is absent is null.
ABSENT = {"anonymousId": None, "integrations": {}, "context": {"library": {"name": "py"}}}


def message(kind: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    """A message as Segment's SDKs send them."""
    return {**ABSENT, "type": kind, "userId": "u", "timestamp": TIME, **fields}


def post(
    client: httpx.Client, *messages: dict[str, Any], accepted: int | None = None, **common: object
) -> list[dict[str, Any]]:
    """Sends a batch, which has to be answered 200; returns the rejections."""
    body = {"batch": messages, "sentAt": LATER, "writeKey": SECRET, **common}
    response = client.post("/v1/batch", json=body)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer.keys() == {"success", "accepted", "rejected"}
    assert answer["accepted"] == (len(messages) if accepted is None else accepted)
    rejected: list[dict[str, Any]] = answer["rejected"]
    return rejected
