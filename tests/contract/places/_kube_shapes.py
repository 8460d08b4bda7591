"""Kubernetes' OpenAPI document, as the official client's models carry it: what is no such shape is refused."""

from __future__ import annotations

from base64 import b64decode
from datetime import datetime, timedelta
from typing import Any

import kubernetes.client

_PLAIN: dict[str, type] = {"str": str, "int": int, "bool": bool}


def refuse_misshapen(value: Any, shape: str, where: str = "") -> None:
    """Raise ``ValueError`` unless ``value`` is JSON of the model ``shape``, and has no field that it does not know.

    A null stands for any absent field, and in a merge patch for one to remove.
    """
    if value is None or shape == "object":
        return
    if shape in _PLAIN:
        _require(type(value) is _PLAIN[shape], where, shape)
    elif shape == "bytes":
        _require(isinstance(value, str), where, shape)
        b64decode(value, validate=True)
    elif shape == "datetime":
        _require(datetime.fromisoformat(value).utcoffset() == timedelta(0), where, shape)
    elif shape.startswith("Dict[str, "):
        _require(isinstance(value, dict), where, shape)
        for name, item in value.items():
            refuse_misshapen(item, shape[10:-1], f"{where}.{name}")
    elif shape.startswith("List["):
        _require(isinstance(value, list), where, shape)
        for item in value:
            refuse_misshapen(item, shape[5:-1], f"{where}[]")
    else:
        _refuse_misshapen_object(value, shape, where)


def _refuse_misshapen_object(value: Any, shape: str, where: str) -> None:
    _require(isinstance(value, dict), where, shape)
    model = getattr(kubernetes.client, shape)
    shapes = {model.attribute_map[field]: of for field, of in model.openapi_types.items()}
    for name, item in value.items():
        _require(name in shapes, f"{where}.{name}", "known")
        refuse_misshapen(item, shapes[name], f"{where}.{name}")


def _require(fits: bool, where: str, shape: str) -> None:
    if not fits:
        raise ValueError(f"{where or 'it'} is not {shape}")
