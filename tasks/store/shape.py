"""Rows as they lie in the database, converted one at a time: a value that cannot be spoils its own row alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from tasks.store.columns import Moment, Span


class Shape:
    """Columns to select, and how to convert a row of them.

    SQLAlchemy converts while it fetches, where one impossible moment would take the whole answer with it.
    """

    def __init__(self, columns: Sequence[sa.ColumnElement[Any]]) -> None:
        self.columns = tuple(_as_it_lies(column) for column in columns)
        self._names = tuple(column.name for column in self.columns)
        converters = ((place, _converter(column.type)) for place, column in enumerate(columns))
        self._converters = tuple((place, convert) for place, convert in converters if convert is not None)

    def facts(self, row: sa.Row[Any]) -> dict[str, Any]:
        """What a row says, by column; what was selected after these columns is left out.

        Raises ``Broken``, ``ArithmeticError``, ``TypeError`` or ``ValueError`` for what no release writes.
        """
        values = list(row)
        for place, convert in self._converters:
            if values[place] is not None:
                values[place] = convert(values[place])
        return dict(zip(self._names, values, strict=False))


def _as_it_lies(column: sa.ColumnElement[Any]) -> sa.Label[Any]:
    kind = column.type
    if isinstance(kind, Moment | Span):
        return sa.type_coerce(column, sa.BigInteger).label(column.name)
    if isinstance(kind, sa.JSON):
        return sa.type_coerce(column, sa.Text).label(column.name)
    return column.label(column.name)


def _converter(kind: sa.types.TypeEngine[Any]) -> Callable[[Any], Any] | None:
    if isinstance(kind, Moment | Span):
        return kind.converted
    return _from_json if isinstance(kind, sa.JSON) else None


def _from_json(stored: Any) -> Any:
    """SQLite gives a text; PostgreSQL's driver has read it already."""
    return json.loads(stored) if isinstance(stored, str) else stored
