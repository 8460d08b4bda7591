"""Models of what is answered, made from the views that ``worker.plain`` writes: one truth for both."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from itertools import pairwise
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

_Span = Annotated[str, Field(description="A span of time.", examples=["1d12h"], pattern=r"^([0-9]+[dhms])+$")]
_AS_THEY_ARE: Final = (str, int, float, bool, NoneType, datetime)


@cache
def shape_of(view: type) -> type[BaseModel]:
    """The model of what ``plain`` makes of a ``view``, with its words. Raises ``TypeError`` for a field that no view
    may have, a secret above all."""
    hints, words = get_type_hints(view), _words(view)
    fields: dict[str, Any] = {
        _free(field.name): (_written(hints[field.name]), Field(alias=field.name, description=words.get(field.name)))
        for field in dataclasses.fields(view)
    }
    made: type[BaseModel] = create_model(
        view.__name__.removesuffix("View"),
        __doc__=inspect.cleandoc(view.__doc__ or ""),
        __module__=__name__,
        __config__=ConfigDict(extra="forbid"),
        **fields,
    )
    return made


def _free(name: str) -> str:
    """The name, or another where models have something so called."""
    return f"{name}_" if hasattr(BaseModel, name) else name


def _written(hint: Any) -> Any:
    """A type as JSON has it."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return Union[tuple(_written(part) for part in inner)]  # noqa: UP007 - its parts are known only now
    if origin is tuple:
        return list[_written(inner[0])]  # type: ignore[misc]  # a type that is known only now
    if origin in {dict, Mapping}:
        return dict[str, _written(inner[1])]  # type: ignore[misc]  # a type that is known only now
    if hint is timedelta:
        return _Span
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return shape_of(hint)
    if hint in _AS_THEY_ARE or (isinstance(hint, type) and issubclass(hint, Enum)):
        return hint
    raise TypeError(f"{hint} has no JSON form")


def _words(view: type) -> dict[str, str]:
    """What is written below each field of a dataclass."""
    (made,) = ast.parse(textwrap.dedent(inspect.getsource(view))).body
    body = made.body if isinstance(made, ast.ClassDef) else []
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
