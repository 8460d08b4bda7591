"""Opens the rotator for one command, its database ready."""

from __future__ import annotations

import getpass
import socket
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from config.settings import Settings
    from tasks.operations import Operations
    from tasks.wiring import Rotator


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
    from config.settings import settings
    from tasks.wiring import open_rotator

    _log_what_matters(settings())
    with closing(open_rotator(settings(), actor=actor())) as rotator:
        yield rotator


@contextmanager
def operations() -> Iterator[Operations]:
    """What an operator may ask. An embedded database is made on first use; an older schema is refused."""
    from config.settings import settings
    from tasks.operations import Operations
    from worker.app import make_app

    make_app(settings())  # where requests are passed on to workers
    with opened() as rotator:
        if settings().embedded_database and rotator.store.schema() is None:
            rotator.store.upgrade()
        rotator.check()
        yield Operations(rotator)


def _log_what_matters(chosen: Settings) -> None:
    """A command tells its results itself: below a warning, its log is only for whoever asks for it."""
    from config.logging import configure_logging, label_process

    asked = "log_level" in chosen.model_fields_set
    label_process("cli")
    configure_logging(chosen if asked else chosen.model_copy(update={"log_level": "warning"}))
