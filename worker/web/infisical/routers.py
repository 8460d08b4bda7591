"""Everything of these routes that the application needs."""

from __future__ import annotations

from typing import Final

from worker.web.infisical import connections, rotations
from worker.web.infisical.words import NAMES

ROUTERS: Final = (connections.router, rotations.router)
NAMES_AT: Final = {connections.BASE: NAMES, rotations.BASE: NAMES}
"""What the options of the command line are called, by the beginning of a path."""
