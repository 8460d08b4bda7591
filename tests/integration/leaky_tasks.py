"""Tasks whose bugs hold keys in every place where a careless reporter would look; run by ``test_leaks_processes``.

Run as ``celery -A tests.integration.leaky_tasks worker``: the product's application with tasks of its own base class.
"""

from __future__ import annotations

import os
from typing import NoReturn

from celery.exceptions import SoftTimeLimitExceeded

from config.logging import get_logger
from config.secret import Secret
from tasks.rotation.errors import RotatorError
from tasks.safe_task import task
from worker.lifecycle import command_line_app

celery = command_line_app()
log = get_logger(__name__)


def _key() -> Secret:
    """Where the test hands it over: environments are searched, so it is no variable."""
    with open(os.environ["LEAKY_KEY_FILE"], encoding="utf-8") as file:
        return Secret(file.read())


@task("leaky.local")
def local() -> None:
    """A bug while a key, revealed and not, is in local variables."""
    key = _key()
    text = key.reveal()
    raise ZeroDivisionError(len(text) // 0)


@task("leaky.message")
def message() -> None:
    """A bug whose message is the key."""
    raise ValueError(f"unexpected {_key().reveal()}")


@task("leaky.chained")
def chained() -> None:
    """An error of ours, without the key, from a foreign one that has it in its arguments."""
    try:
        message.run()
    except ValueError as error:
        raise RotatorError("Something failed.", "Try again.") from error


@task("leaky.context")
def context() -> None:
    """A bug while one whose message is the key was handled."""
    try:
        message.run()
    except ValueError:
        raise KeyError(_key()) from None


@task("leaky.group")
def group() -> None:
    """Several at once."""
    raise ExceptionGroup(_key().reveal(), [ValueError(_key().reveal()), KeyError(_key().reveal())])


@task("leaky.soft")
def soft() -> None:
    """The soft time limit, with the key in its arguments."""
    raise SoftTimeLimitExceeded(_key().reveal())


@task("leaky.exit")
def leave() -> None:
    """What ends a process, with the key as its message."""
    log.info("leaky_exit")
    raise SystemExit(_key().reveal())


class OwnBaseError(BaseException):
    """No ``Exception``."""


@task("leaky.base")
def base() -> NoReturn:
    """A ``BaseException`` whose message is the key."""
    log.info("leaky_base")
    raise OwnBaseError(_key().reveal())


@task("leaky.logged")
def logged() -> None:
    """A key given to the log in a field, a message and an exception."""
    key = _key()
    log.info("leaky_field", value=key, api_key=key.reveal(), nested={"authorization": key.reveal()})
    log.error("leaky_error", raised=ValueError(key.reveal()))
    raise ValueError(repr(key))
