"""The SQL of a macro of dbt_project, without dbt: for tests of its rule on many values."""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, pass_context
from jinja2.runtime import Context

from collector.settings import ROOT


class Adapter:
    """What macros ask dbt's adapter of PostgreSQL for: which form of a macro is theirs."""

    @pass_context
    def dispatch(self, context: Context, name: str) -> object:
        """The macro in the form that is no other engine's."""
        return context.resolve(f"default__{name}")


def returned(value: object) -> str:
    """What a macro returns, as text, which an untrue value is none of."""
    return value.strip() if isinstance(value, str) else "yes" if value else ""


def render(macro: str, *arguments: str | list[str]) -> str:
    """What `{{ macro(arguments) }}` is in a model. Macros that ask dbt for anything cannot be."""
    texts = [path.read_text() for path in sorted(Path(ROOT, "dbt_project/macros").rglob("*.sql"))]
    values = ", ".join(repr(argument) for argument in arguments)
    # Tests and materializations are tags of dbt's own.
    own = [text for text in texts if not re.search(r"{%-? *(data_test|test|materialization)", text)]
    environment = Environment(extensions=["jinja2.ext.do"])  # noqa: S701
    environment.globals |= {"adapter": Adapter(), "return": returned}
    return (
        environment.from_string("\n".join([*own, f"{{{{ {macro}({values}) }}}}"])).render().strip()
    )
