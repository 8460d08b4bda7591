"""Structured logs: one line an event, labelled, on standard error, without secrets.

Everything that Celery, kombu, Flower, httpx and SQLAlchemy say through the standard library's logging passes the
same chain. ``ROTATOR_LOG_LEVEL`` decides what is logged (Celery's ``--loglevel`` does not); libraries that would
print arguments, headers or statements at DEBUG have a floor above it.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor

from config.redaction import format_traceback, redact_value
from config.settings import Settings

_FLOORS: Final = {
    # Least level of libraries that show too much below it; a higher ROTATOR_LOG_LEVEL still wins.
    "celery": logging.INFO,  # DEBUG prints task arguments and message bodies
    "celery.beat": logging.WARNING,  # INFO repeats every tick
    "celery.worker.request": logging.WARNING,  # INFO announces each tick that expired while no worker ran
    "celery.worker.strategy": logging.WARNING,  # INFO announces each task, which says "succeeded" or "failed" later
    "kombu": logging.INFO,  # DEBUG prints message bodies
    "amqp": logging.INFO,
    "redis": logging.INFO,
    "flower": logging.INFO,  # DEBUG prints task arguments and the cookie secret
    "tornado": logging.INFO,
    "httpx": logging.WARNING,  # INFO prints every URL
    "httpcore": logging.WARNING,  # DEBUG prints headers
    "sqlalchemy": logging.WARNING,  # INFO prints statements with their parameters
    "alembic": logging.WARNING,  # INFO names its own parts and every look at the schema
    "uvicorn": logging.WARNING,  # INFO says in other words what we say
    "asyncio": logging.INFO,
    "uvicorn.access": logging.WARNING,  # INFO prints whole URLs
    "urllib3": logging.WARNING,  # DEBUG prints the paths of URLs, which are passwords to some services
    "requests_oauthlib": logging.INFO,  # DEBUG prints tokens
    "oauthlib": logging.INFO,
    "multiprocessing": logging.INFO,
}
_ROUTINE: Final = frozenset({"rotation.dispatch_due", "rotation.notify", "rotation.watch_expiries"})
"""Tasks whose success is not news."""

_process = "rotator"
_hushed: Final = ContextVar("hushed", default=False)


class Logger:
    """A logger of constant snake_case events with fields."""

    def __init__(self, name: str) -> None:
        self._inner = structlog.stdlib.get_logger(name)

    def debug(self, event: str, **fields: object) -> None:
        """For whoever looks for a fault."""
        self._inner.debug(event, **fields)

    def info(self, event: str, **fields: object) -> None:
        """It went as it should."""
        self._inner.info(event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """It will pass by itself, but somebody may want to know."""
        self._inner.warning(event, **fields)

    def error(self, event: str, *, raised: BaseException | None = None, **fields: object) -> None:
        """A person should look; ``raised`` adds its traceback, without local variables."""
        self._inner.error(event, exc_info=raised, **fields)


def get_logger(name: str) -> Logger:
    """The logger of a module: ``get_logger(__name__)``."""
    return Logger(name)


def bound(**fields: object) -> AbstractContextManager[None]:
    """Give every line logged inside the block these fields (rotation, version, task_id ...)."""
    return cast("AbstractContextManager[None]", structlog.contextvars.bound_contextvars(**fields))


@contextmanager
def hushed() -> Iterator[None]:
    """Drop every line that is logged inside the block: for libraries that print addresses with their passwords."""
    before = _hushed.set(True)
    try:
        yield
    finally:
        _hushed.reset(before)


def label_process(name: str) -> None:
    """From now on every line of this process says that it comes from ``name`` (worker, beat, flower ...)."""
    global _process  # noqa: PLW0603 - a process has one name, and lines of any thread carry it
    _process = name


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Send every log line of this process to ``stream`` (standard error). A second call replaces the first."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_formatter(settings, handler.stream))
    handler.addFilter(_hide_bodies)
    handler.addFilter(_is_news)
    handler.addFilter(_is_heard)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    root.setLevel(level)
    for name, floor in _FLOORS.items():
        logging.getLogger(name).setLevel(max(floor, level))
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_facts(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _facts() -> list[Processor]:
    """What every line carries, ours or a library's."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _formatter(settings: Settings, stream: TextIO) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_facts(), structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _label,
            _render_exception,
            _redact,
            _renderer(settings, stream),
        ],
    )


def _renderer(settings: Settings, stream: TextIO) -> Processor:
    if settings.log_format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(
        colors=stream.isatty(), pad_event_to=0, pad_level=False, exception_formatter=structlog.dev.plain_traceback
    )


def _label(_logger: Any, _method: str, event: EventDict) -> EventDict:
    event["process"] = _process
    return event


def _render_exception(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Replace the exception by text of our own making: the libraries' formatters show too much."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()
    error = found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        event["exception"] = format_traceback(error)
    return event


def _redact(_logger: Any, _method: str, event: EventDict) -> MutableMapping[str, Any]:
    return {name: redact_value(value, name) for name, value in event.items()}


def _hide_bodies(record: logging.LogRecord) -> bool:
    """Celery logs the whole body of a message that it does not understand: say only that there was one.

    A person must know of it, but nothing that a stranger put into the broker may reach the log.
    """
    if record.name == "celery.worker.consumer.consumer" and "message body" in str(record.msg):
        record.reason = re.split(r":| %|\n", str(record.msg), maxsplit=1)[0]
        record.msg = "broker_message_discarded"
        record.args = record.exc_info = record.exc_text = None
    return True


def _is_heard(_record: logging.LogRecord) -> bool:
    return not _hushed.get()


def _is_news(record: logging.LogRecord) -> bool:
    """Drop "succeeded" of tasks that run at every tick."""
    if record.name != "celery.app.trace" or record.levelno > logging.INFO:
        return True
    return not (isinstance(record.args, Mapping) and record.args.get("name") in _ROUTINE)
