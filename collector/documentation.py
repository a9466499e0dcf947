"""The OpenAPI document, and a page that shows it and loads nothing from outside."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import msgspec
import yaml
from starlette.responses import Response

from collector import __version__
from collector.registry import supported_event_types
from collector.settings import Settings

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
pre { background: #f4f4f4; padding: 1rem; overflow: auto } td { padding-right: 1rem }
"""


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    answers = ", ".join(operation["responses"])
    return f"<h2>{method.upper()} {path}</h2>{_text(operation['description'])}<p>Answers {answers}."


def _text(text: str) -> str:
    return "".join(f"<p>{escape(line)}" for line in text.strip().split("\n"))


def pages(settings: Settings) -> tuple[Response, Response]:
    """The document, which states the limits of these settings, and the page that shows it."""
    limits = {
        "maxEvents": settings.max_events,
        "maxEventBytes": settings.max_event_bytes,
        "maxBodyBytes": settings.max_body_bytes,
        "maxInflatedBytes": settings.max_inflated_bytes,
        "maxHeaderBytes": settings.max_header_bytes,
    }
    text = Path(__file__).with_name("openapi.yml").read_text(encoding="utf-8")
    for name, limit in limits.items():
        text = text.replace(f"@{name}@", str(limit)).replace(f"@{name}, text@", f"{limit:,}")
    document = yaml.safe_load(text)
    document["info"] |= {"version": __version__, "x-limits": limits}
    fields = document["components"]["schemas"]["Event"]["properties"]
    fields["eventType"]["enum"] = sorted(supported_event_types())
    operations = "".join(
        _operation(method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )
    whole = escape(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100))
    page = Response(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Headwater</title>"
        f"<style>{_STYLE}</style><h1>Headwater</h1>{_text(document['info']['description'])}"
        f"{operations}<h2>The whole document (OpenAPI 3.1)</h2>"
        f"<p>For tools: <a href=/openapi.json>/openapi.json</a><pre>{whole}</pre></html>",
        headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
        media_type="text/html",
    )
    return Response(msgspec.json.encode(document), media_type="application/json"), page
