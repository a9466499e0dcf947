"""The OpenAPI document, a page that shows it, and one that greets; none loads from elsewhere."""

from __future__ import annotations

import re
from dataclasses import fields
from html import escape
from pathlib import Path
from string import Template
from typing import Any, get_args

import msgspec
import yaml
from starlette.responses import Response

from collector import __version__
from collector.contract import EventFields, MessageReceipt, Receipt, UserFields, UserReceipt
from collector.problems import Code
from collector.registry import supported_event_types
from collector.settings import Settings

_HERE = Path(__file__).parent
_TYPES = (EventFields, UserFields, Receipt, UserReceipt, MessageReceipt)


def pages(settings: Settings) -> tuple[Response, Response, Response]:
    """The greeting, the document, which states the limits of these settings, and its page."""
    document = _document(settings)
    operations = "".join(
        _operation(method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )
    whole = escape(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100))
    return (
        _page(_filled("greeting", version=__version__, port=settings.port)),
        Response(msgspec.json.encode(document), media_type="application/json"),
        _page(
            f"{_text(document['info']['description'])}{operations}"
            "<h2>The whole document (OpenAPI 3.1)</h2>"
            f"<p>For tools: <a href=/openapi.json>/openapi.json</a><pre>{whole}</pre>"
        ),
    )


def _document(settings: Settings) -> dict[str, Any]:
    """`openapi.yml` with the limits of the settings and the schemas of the contract's types."""
    limits = {
        re.sub("_(.)", lambda found: found[1].upper(), each.name): getattr(settings, each.name)
        for each in fields(settings)
        if each.name.startswith("max_")
    }
    text = (_HERE / "openapi.yml").read_text(encoding="utf-8")
    for name, limit in limits.items():
        text = text.replace(f"@{name}@", str(limit)).replace(f"@{name}, text@", f"{limit:,}")
    document: dict[str, Any] = yaml.safe_load(text)
    document["info"] |= {"version": __version__, "x-limits": limits}
    schemas = document["components"]["schemas"]
    _, made = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    for type_name, schema in made.items():
        name = type_name.removesuffix("Fields")
        schemas[name] = _plain(schema) | {"title": name} | schemas.get(name, {})
    schemas["Event"]["properties"]["eventType"]["enum"] = sorted(supported_event_types())
    schemas["Problem"]["properties"]["code"]["enum"] = get_args(Code)
    return document


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """An object's schema of msgspec without what says again what is beside it.

    For JSON Schema 1.0 is an integer; a format says it better than its pattern.
    """
    for each in schema["properties"].values():
        kinds = each.get("anyOf", [])
        if any(kind["type"] == "integer" for kind in kinds):
            each["anyOf"] = [kind for kind in kinds if kind["type"] != "number"]
        for kind in kinds:
            if "format" in kind:
                kind.pop("pattern", None)
    return schema


def _page(content: str) -> Response:
    return Response(
        _filled("frame", content=content),
        headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
        media_type="text/html",
    )


def _filled(name: str, **values: object) -> str:
    text = (_HERE / "pages" / f"{name}.html").read_text(encoding="utf-8")
    return Template(text).substitute(values)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    answers = ", ".join(operation["responses"])
    return f"<h2>{method.upper()} {path}</h2>{_text(operation['description'])}<p>Answers {answers}."


def _text(text: str) -> str:
    return "".join(f"<p>{escape(line)}" for line in text.strip().split("\n"))
