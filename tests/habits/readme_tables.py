"""The README's tables of settings and of metrics, made from the code. ``make docs`` writes them; a test compares."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from pydantic.fields import FieldInfo

from config.environment import PREFIX
from config.settings import Settings, holds_secret
from tasks.publishers import about, kinds
from tasks.publishers._shared.about import About, options_of
from tests.habits.house import TOP
from worker.web.metrics.table import METRICS

README = TOP / "README.md"


def settings_table() -> str:
    """A row for each setting, in the order of the code."""
    rows = [_row(name, field) for name, field in Settings.model_fields.items() if not field.exclude]
    return "\n".join(["| setting | default | |", "|---|---|---|", *rows, ""])


def metrics_table() -> str:
    """A row for each metric, in the order of the code."""
    rows = [f"| `{m.name}` | {', '.join(m.labels)} | {m.kind}: {m.help} |" for m in METRICS]
    return "\n".join(["| metric | labels | |", "|---|---|---|", *rows, ""])


def destinations_table() -> str:
    """A row for each kind of destination, in alphabetical order, and all that it says of itself below."""
    told = {kind: about(kind) for kind in kinds()}
    head = "| `--publish` | options | extra | what reading back proves |"
    rows = [_destination(kind, each) for kind, each in told.items()]
    return "\n".join([head, "|---|---|---|---|", *rows, "", *(_all_of(kind, each) for kind, each in told.items())])


def _destination(kind: str, told: About) -> str:
    options = ", ".join(f"`{name}`" for name in options_of(told))
    extra = f"`{told.extra}`" if told.extra else ""
    return f"| `{kind}:{told.target}` | {options} | {extra} | {told.proves.replace('|', chr(92) + '|')} |"


def _all_of(kind: str, told: About) -> str:
    options = [f"- `{name}`: {use}" for name, use in options_of(told).items()]
    return "\n".join(
        [
            f"<details>\n<summary><b>{kind}</b></summary>\n",
            f"```\n--publish '{kind}:{told.example.removeprefix(f'{kind}:')}'\n```\n",
            f"{told.happens}.\n",
            *([*options, ""] if options else []),
            f"Who we are there: {told.auth}.\n",
            "</details>\n",
        ]
    )


TABLES = {"destinations": destinations_table, "settings": settings_table, "metrics": metrics_table}


def table_in(readme: str, name: str) -> str:
    """The table of this name that stands in a README. Raises ``ValueError`` when it has no place for one."""
    found = _place(name).search(readme)
    if found is None:
        raise ValueError(f"the README has no place for the table of {name}")
    return found[0]


def write() -> None:
    """Put the tables of today into the README."""
    text = README.read_text(encoding="utf-8")
    for name, made in TABLES.items():
        table, _ = made(), table_in(text, name)
        text = _place(name).sub(lambda _, table=table: table, text)  # type: ignore[misc]  # mypy sees no default
    README.write_text(text, encoding="utf-8")


def _place(name: str) -> re.Pattern[str]:
    begin, end = f"<!-- {name}: written by `make docs` -->\n", f"<!-- /{name} -->"
    return re.compile(f"(?<={re.escape(begin)}).*?(?={re.escape(end)})", re.DOTALL)


def _row(name: str, field: FieldInfo) -> str:
    variable = f"`{PREFIX}{name.upper()}`" + (", `..._FILE`" if holds_secret(name) else "")
    description = (field.description or "").replace("|", "\\|")
    return f"| {variable} | {_default(field)} | {description} |"


def _default(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "shown_default" in extra:
        return str(extra["shown_default"])
    return f"`{_plain(field.default)}`"


def _plain(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    write()
