"""Sends events and users to the collector over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec
import urllib3

from scripts.lib.base.cli import UserError

CONNECTIONS = 4
_BATCH = b'{"batch":[%b]}'
_ROW_FAULTS = {400, 413, 422}
# A batch that got no answer is sent again: with eventIds that is harmless. About 50 s in all, so
# that a restart of the collector or of its database is waited out.
_RETRY = urllib3.Retry(
    total=15,
    allowed_methods=None,
    status_forcelist={429, 502, 503, 504},
    backoff_factor=0.1,
    backoff_max=5,
    raise_on_status=False,
)
_encoder = msgspec.json.Encoder(decimal_format="number")
encode = _encoder.encode


class CollectorError(UserError):
    """The collector could not be reached or refused a request as a whole; says why."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why the collector refused the element at `index` of what was sent."""

    index: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What the collector takes in a request, as its `/openapi.json` states it.

    `body_bytes` are those of the texts; `event_types` are the supported ones.
    """

    events: int
    body_bytes: int
    event_types: frozenset[str]


@dataclass(frozen=True, slots=True)
class Receipt:
    """The collector's answer: how many elements are committed, and the refused ones."""

    accepted: int
    rejected: list[Rejection]


class Client:
    """Talks to one collector, with `key` where it wants one; safe to share between threads.

    429, 503, lost connections and time-outs are retried, honouring Retry-After. Raises
    CollectorError where `url` is none.
    """

    def __init__(self, url: str, key: str = "") -> None:
        if not url.startswith(("http://", "https://")):
            raise CollectorError(f"{url} is not a URL: it must begin with http:// or https://")
        self.url = url.rstrip("/")
        timeout = urllib3.Timeout(connect=5, read=60)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._pool = urllib3.PoolManager(maxsize=CONNECTIONS, timeout=timeout, headers=headers)

    def close(self) -> None:
        """Closes the pooled connections."""
        self._pool.clear()

    def check(self) -> None:
        """Raises CollectorError at once, without retries, where no collector answers."""
        status, answer = self._request("GET", "/healthz", retries=False)
        if status != 200:
            raise self._refusal(status, answer)

    def source(self) -> str:
        """The source of what the key sends. Raises CollectorError where it may not send."""
        status, answer = self._request("GET", "/key")
        if status != 200:
            raise self._refusal(status, answer)
        if "write" not in answer["scopes"]:
            raise CollectorError(f"The key may not send to {self.url}: it is one for reading.")
        return str(answer["source"])

    def may_send(self) -> bool:
        """Whether the collector takes the key."""
        status, answer = self._request("GET", "/key")
        return status == 200 and "write" in answer["scopes"]

    @cached_property
    def limits(self) -> Limits:
        """What the collector takes in one request."""
        status, document = self._request("GET", "/openapi.json")
        try:
            stated = document["info"]["x-limits"]
            fields = document["components"]["schemas"]["Event"]["properties"]
            types = frozenset(fields["eventType"]["enum"])
            # Large enough; larger ones only wait longer for their memory.
            body_bytes = min(stated["maxBodyBytes"], 2 << 20) - len(_BATCH)
            return Limits(stated["maxEvents"], body_bytes, types)
        except (KeyError, TypeError):
            raise CollectorError(
                f"{self.url}/openapi.json ({status}) does not state limits: is it a collector of "
                "this version?"
            ) from None

    def send(self, path: str, texts: Sequence[bytes]) -> Receipt:
        """Sends events, users or messages of Segment's SDKs, each already JSON on one line.

        In their order, in as many requests as the limits of the collector want; returns once all
        are committed. `path` is theirs, like /events, /users or /v1/batch. Raises CollectorError
        when a request as a whole failed.
        """
        accepted, rejected = 0, []
        for start, body in self._portions(texts):
            receipt = self._receipt(path, body)
            accepted += receipt.accepted
            rejected += [replace(each, index=start + each.index) for each in receipt.rejected]
        return Receipt(accepted, rejected)

    def validate(self, path: str, texts: Sequence[bytes]) -> Receipt:
        """What would become of texts, without storing any."""
        return self.send(f"{path}?validateOnly=true", texts)

    def _portions(self, texts: Sequence[bytes]) -> Iterator[tuple[int, Sequence[bytes]]]:
        """The texts in portions that fit into one request each, with the place of the first."""
        limits = self.limits
        start = size = 0
        for place, text in enumerate(texts):
            if start < place and (
                size + len(text) > limits.body_bytes or place - start >= limits.events
            ):
                yield start, texts[start:place]
                start, size = place, 0
            size += len(text) + 1
        if texts:
            yield start, texts[start:]

    def _receipt(self, path: str, texts: Sequence[bytes]) -> Receipt:
        if path.startswith("/v1/"):
            body, kind = _BATCH % b",".join(texts), "application/json"
        else:
            body, kind = b"\n".join(texts), "application/x-ndjson"
        status, answer = self._request("POST", path, body, kind)
        if isinstance(answer, dict) and isinstance(answer.get("rejected"), list):
            rejected = [Rejection(r["index"], r["code"], r["message"]) for r in answer["rejected"]]
            return Receipt(int(answer.get("accepted", 0)), rejected)
        if status == 200:
            return Receipt(int(answer["accepted"]), [])
        if status in _ROW_FAULTS and len(texts) == 1:
            return Receipt(0, [_rejection(0, answer)])
        raise self._refusal(status, answer)

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        content_type: str = "application/json",
        *,
        retries: bool = True,
    ) -> tuple[int, Any]:
        try:
            response = self._pool.request(
                method,
                self.url + path,
                body=body,
                headers={**self._pool.headers, **({"Content-Type": content_type} if body else {})},
                retries=_RETRY if retries else False,
            )
            return response.status, msgspec.json.decode(response.data)
        except urllib3.exceptions.HTTPError as error:
            raise CollectorError(
                f"No answer from the collector at {self.url} ({_reason(error)}). "
                "Is it running? Start it with scripts/serve, or name another with --url."
            ) from error
        except msgspec.DecodeError as error:
            raise CollectorError(f"{self.url} does not answer like a collector.") from error

    def _refusal(self, status: int, answer: object) -> CollectorError:
        rejection = _rejection(0, answer)
        return CollectorError(
            f"The collector at {self.url} answered {status} {rejection.code}: {rejection.message}"
        )


def _rejection(index: int, problem: object) -> Rejection:
    members = problem if isinstance(problem, dict) else {}
    return Rejection(
        index, str(members.get("code", "unknown")), str(members.get("message", "no reason given"))
    )


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", None) or error
    return type(reason).__name__
