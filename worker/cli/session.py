"""Opens the rotator for one command, its database ready."""

from __future__ import annotations

import getpass
import socket
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tasks.wiring import Rotator

    from tasks.operations import Operations


def actor() -> str:
    """Who is asking, as events record it: ``cli:user@host``."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user often has no name
        user = "unknown"
    return f"cli:{user}@{socket.gethostname()}"


@contextmanager
def opened() -> Iterator[Rotator]:
    """The rotator that the settings describe, its schema not looked at yet."""
    from tasks.wiring import open_rotator

    from config.settings import settings

    with closing(open_rotator(settings(), actor=actor())) as rotator:
        yield rotator


@contextmanager
def operations() -> Iterator[Operations]:
    """What an operator may ask. An embedded database is made on first use; an older schema is refused."""
    from tasks.operations import Operations

    from config.settings import settings

    with opened() as rotator:
        if settings().embedded_database and rotator.store.schema() is None:
            rotator.store.upgrade()
        rotator.check()
        yield Operations(rotator)
