"""What the options of the command line are called here."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "/api/rotator/v1"

NAMES: Final = {
    "NAME": "name",
    "--limit": "limit_usd",
    "--rename": "name",
    "--unpublish": "label",
}
"""Those that are not simply the option's name with underscores, as ``--key-name`` is ``key_name``."""
