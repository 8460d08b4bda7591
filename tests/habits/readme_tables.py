"""The README's table of settings, made from ``config/settings.py``. ``make docs`` writes it; a test compares."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from pydantic.fields import FieldInfo

from config.settings import PREFIX, Settings, holds_secret
from tests.habits.house import TOP

README = TOP / "README.md"
_BEGIN, _END = "<!-- settings: written by `make docs` -->\n", "<!-- /settings -->"
_PLACE = re.compile(f"(?<={re.escape(_BEGIN)}).*?(?={re.escape(_END)})", re.DOTALL)


def settings_table() -> str:
    """A row for each setting, in the order of the code."""
    rows = [_row(name, field) for name, field in Settings.model_fields.items() if not field.exclude]
    return "\n".join(["| setting | default | |", "|---|---|---|", *rows, ""])


def table_in(readme: str) -> str:
    """The table that stands in a README. Raises ``ValueError`` when it has no place for one."""
    found = _PLACE.search(readme)
    if found is None:
        raise ValueError(f"the README has no {_BEGIN.strip()} ... {_END}")
    return found[0]


def write() -> None:
    """Put the table of today into the README."""
    text = README.read_text(encoding="utf-8")
    table_in(text)
    README.write_text(_PLACE.sub(lambda _: settings_table(), text), encoding="utf-8")


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
