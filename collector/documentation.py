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

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
pre { background: #f4f4f4; padding: 1rem; overflow: auto } td { padding-right: 1rem }
"""


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    answers = ", ".join(operation["responses"])
    return f"<h2>{method.upper()} {path}</h2>{_text(operation['description'])}<p>Answers {answers}."


def _text(text: str) -> str:
    return "".join(f"<p>{escape(line)}" for line in text.strip().split("\n"))


_document = yaml.safe_load(Path(__file__).with_name("openapi.yml").read_bytes())
_document["info"]["version"] = __version__
_fields = _document["components"]["schemas"]["Event"]["properties"]
_fields["eventType"]["enum"] = sorted(supported_event_types())
_operations = "".join(
    _operation(method, path, operation)
    for path, operations in _document["paths"].items()
    for method, operation in operations.items()
)
_whole = escape(yaml.safe_dump(_document, sort_keys=False, allow_unicode=True, width=100))

OPENAPI = Response(msgspec.json.encode(_document), media_type="application/json")
PAGE = Response(
    f"<!doctype html><html lang=en><meta charset=utf-8><title>Headwater</title>"
    f"<style>{_STYLE}</style><h1>Headwater</h1>{_text(_document['info']['description'])}"
    f"{_operations}<h2>The whole document (OpenAPI 3.1)</h2>"
    f"<p>For tools: <a href=/openapi.json>/openapi.json</a><pre>{_whole}</pre></html>",
    headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
    media_type="text/html",
)
