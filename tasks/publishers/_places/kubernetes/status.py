"""What the API server says when it does not do what was asked: its ``Status``. Its message is never repeated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

_LONGEST_PAUSE_S: Final = 86_400


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class _Cause(_Lenient):
    reason: str = ""


class _Details(_Lenient):
    kind: str = ""
    causes: list[_Cause] = []
    pause_s: int | None = Field(None, alias="retryAfterSeconds")


class Status(_Lenient):
    """Why it was not done. Empty where the answer was no ``Status``."""

    message: str = ""
    details: _Details = _Details()


def status_of(body: bytes) -> Status:
    """The ``Status`` in an answer; an empty one if there is none that could be read."""
    try:
        return Status.model_validate_json(body)
    except ValidationError:
        return Status()


def pause_of(headers: Mapping[str, str], status: Status) -> timedelta | None:
    """How long the API server asks us to wait, if it does."""
    told = headers.get("Retry-After", "")
    seconds = int(told) if re.fullmatch(r"[0-9]{1,9}", told) else status.details.pause_s
    return None if seconds is None or seconds < 0 else timedelta(seconds=min(seconds, _LONGEST_PAUSE_S))
