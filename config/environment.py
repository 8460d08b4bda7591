"""Variables of the environment that are no settings of ours: credentials that an operator refers to by name."""

from __future__ import annotations

import os
from typing import Final

from config.secret import Secret

PREFIX: Final = "ROTATOR_"


def variable(name: str) -> Secret | None:
    """The value of a variable that is set and not empty. Raises ``ValueError`` for a setting of ours."""
    if name.startswith(PREFIX):
        raise ValueError("settings of ours are read by config.settings alone")
    value = os.environ.get(name, "").strip()
    return Secret(value) if value else None
