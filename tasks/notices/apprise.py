"""Telling by Apprise: an address is one of its URLs, such as ``slack://...`` or ``mailtos://...``, and holds passwords.

Apprise answers whether a notice was taken, and tells why not in its log alone, beside addresses and what was sent. So
nothing that is logged meanwhile, by whomever, is kept: of Apprise's own lines only the status, and whether they have
words that ``_CAUSES`` knows. Nothing is tried again here, and nothing waits: the database decides when.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from config.logging import hushed
from config.secret import Secret
from tasks.rotation.errors import (
    Broken,
    CredentialRejected,
    InvalidInput,
    OperatorNeeded,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RotatorError,
    TakenInPart,
    Unavailable,
)
from tasks.rotation.telling import Notice
from tasks.rotation.wording import Level

if TYPE_CHECKING:
    from apprise import NotifyBase

SENDING_S: Final = 30.0
"""When a notice counts as not taken, whatever its service is doing. An answer that comes later is not waited for."""
_SOCKET_S: Final = 10.0
"""For connecting, and for each answer: the most, where the address asks for no less."""
_LONGEST: Final = 4096
_SERVICE: Final = re.compile(r"[a-z][a-z0-9_.+-]{0,31}")
_TYPES: Final = {Level.INFO: "info", Level.WARNING: "warning", Level.CRITICAL: "failure"}
_INSTALL: Final = "Where workers and commands run: pip install 'openrouter-rotator[notify]'"
_ANEW: Final = "`rotator notify update` takes a new address, `rotator notify test` tries it."


def service_of(address: Secret) -> str:
    """What kind of service an address is of: all of it that may be shown. Nothing is contacted.

    Raises ``InvalidInput`` for what is no address, and ``OperatorNeeded`` where Apprise is not installed.
    """
    schema = str(_opened(address).schema)
    return schema if _SERVICE.fullmatch(schema) else "unknown"


def send(address: Secret, notice: Notice) -> None:
    """Tell it there, within ``SENDING_S``. Raises one of our families when it was not taken, and never says more of
    the address than its service; ``OutcomeUnknown`` when it was sent and not answered, ``TakenInPart`` when some of
    several receivers behind the address have it."""
    service = _opened(address)
    outcome: queue.SimpleQueue[RotatorError | None] = queue.SimpleQueue()
    # A daemon: neither a server that dribbles its answer nor a plugin that waits can hold this process up.
    threading.Thread(target=lambda: outcome.put(_outcome(service, notice)), name="notice", daemon=True).start()
    try:
        failure = outcome.get(timeout=SENDING_S)
    except queue.Empty:
        failure = OutcomeUnknown(f"{service.schema} did not take the notice within {SENDING_S:g} s.", _ANEW)
    if failure is not None:
        raise failure


def _opened(address: Secret) -> NotifyBase:
    """The service at an address, which waits for no answer for long and keeps no files."""
    url = address.reveal()
    service = _instantiated(url) if url.isprintable() else None
    if service is None:
        raise InvalidInput(
            "the address",
            "it is no URL that Apprise can use",
            "https://appriseit.com/services/ has them; some services need one more Python package, which it names.",
        )
    service.socket_connect_timeout = min(service.socket_connect_timeout, _SOCKET_S)
    service.socket_read_timeout = min(service.socket_read_timeout, _SOCKET_S)
    service.request_rate_per_sec = 0  # it would sleep between the receivers of one address
    return service


def _instantiated(url: str) -> NotifyBase | None:
    with _listening(), _installed(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of modules that its plugins import
        from apprise import Apprise, AppriseAsset  # noqa: PLC0415 - takes a second, and is an extra

        asset = AppriseAsset(
            app_id="rotator",
            app_desc="openrouter-rotator",
            image_url_mask="",  # nothing from elsewhere
            image_url_logo="",
            http_redirects=False,  # they would carry credentials to wherever an answer says
            pgp_autogen=False,
            pem_autogen=False,
        )
        try:
            return Apprise.instantiate(url, asset=asset) if len(url) <= _LONGEST else None
        except Exception:  # noqa: BLE001 - of a hundred plugins; its words may hold the address
            return None


@contextmanager
def _installed() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        what = f"The Python package {error.name} is not installed here, so nobody can be told."
        raise OperatorNeeded(what, _INSTALL) from error


def _outcome(service: NotifyBase, notice: Notice) -> RotatorError | None:
    """Send, in whichever thread; what kept it from being taken, or None."""
    from apprise import NotifyFormat, NotifyType, OverflowMode  # noqa: PLC0415 - see above

    with _listening() as heard:
        try:
            taken = service.notify(
                title=notice.title,
                body=notice.body,
                notify_type=NotifyType(_TYPES[notice.level]),
                body_format=NotifyFormat.TEXT,
                overflow=OverflowMode.TRUNCATE,
            )
        except Exception as error:  # noqa: BLE001 - of a hundred plugins; its words may hold the address
            return Broken(f"{service.schema} failed with {type(error).__name__}.", "Please report it.")
    return None if taken else heard.failure(str(service.schema))


@dataclass(frozen=True, slots=True)
class Cause:
    """What lines of Apprise with these words mean to us."""

    words: re.Pattern[str]
    family: type[RotatorError]
    problem: str
    remedy: str = ""


_SENT: Final = re.compile("read (operation )?timed out|closed: timed out|connection aborted|reset by peer", re.I)
CAUSES: Final = (
    Cause(
        re.compile("CERTIFICATE_VERIFY_FAILED|certificate verify failed", re.I),
        OperatorNeeded,
        "its certificate is not one that is trusted here.",
        "See to the certificate, or to the machine's list of authorities.",
    ),
    Cause(
        re.compile("name or service not known|name resolution|getaddrinfo|nodename nor servname|NameResolution", re.I),
        Unavailable,
        "its host cannot be found.",
        _ANEW,
    ),
    Cause(_SENT, OutcomeUnknown, "it gave no answer to what was sent, and may have taken it.", _ANEW),
    Cause(re.compile("timed out|timeout", re.I), Unavailable, "it did not answer in time."),
    Cause(
        re.compile("connection refused|no route to host|unreachable|NewConnectionError", re.I),
        Unavailable,
        "no connection could be made.",
    ),
)
"""In this order: the first that is heard counts."""
_HTTP_STATUS: Final = re.compile(r"error=(\d{3})\b")
_SMTP_STATUS: Final = re.compile(r"\((\d{3}), b['\"]|was refused: (\d{3})\b")
_FOREIGN: Final = "Socket Exception"
"""How Apprise begins the line, at debug, that repeats what a client library said."""
_TAKEN: Final = "Sent "
"""How its plugins begin the line, at info, that one receiver has it."""
_LOGIN: Final = frozenset({401, 403, 530, 534, 535})
_TOO_MANY: Final = 429
_HTTP_PASSES: Final = range(500, 600)
_SMTP_PASSES: Final = range(400, 500)


class _Heard(logging.Handler):
    """What the lines of one thread told of a failure."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        self._cause: Cause | None = None
        self._http: int | None = None
        self._smtp: int | None = None
        self._taken = False

    def emit(self, record: logging.LogRecord) -> None:
        """Look for what is known, and forget the line."""
        if record.thread != self._thread:
            return
        line = record.getMessage()
        self._taken = self._taken or (record.levelno == logging.INFO and line.startswith(_TAKEN))
        if record.levelno < logging.WARNING and not line.startswith(_FOREIGN):
            return  # it may be the notice itself
        known = [cause for cause in CAUSES if cause.words.search(line)]
        self._cause = self._cause or (known[0] if known else None)
        self._http = self._http or _status(_HTTP_STATUS, line)
        self._smtp = self._smtp or _status(_SMTP_STATUS, line)

    def failure(self, service: str) -> RotatorError:
        """What happens next."""
        failure = self._failure(service)
        if self._taken:
            return TakenInPart(f"Not every receiver behind the address took the notice: {failure.message}", _ANEW)
        return failure

    def _failure(self, service: str) -> RotatorError:
        if self._http is not None:
            return _of_status(f"{service} answered {self._http}", self._http, passes=self._http in _HTTP_PASSES)
        if self._smtp is not None:
            return _of_status(f"{service} answered {self._smtp}", self._smtp, passes=self._smtp in _SMTP_PASSES)
        if self._cause is not None:
            return self._cause.family(f"{service} was not reached: {self._cause.problem}", self._cause.remedy)
        return Unavailable(f"{service} did not take the notice, and Apprise does not say why.", _ANEW)


def _status(pattern: re.Pattern[str], line: str) -> int | None:
    found = pattern.search(line)
    return None if found is None else next(int(group) for group in found.groups() if group)


def _of_status(what: str, status: int, *, passes: bool) -> RotatorError:
    if status == _TOO_MANY:
        return RateLimited(f"{what}: too many notices.")
    if status in _LOGIN:
        return CredentialRejected(f"{what}: it does not accept the credentials in the address.", _ANEW)
    if passes:
        return Unavailable(f"{what}: it cannot take notices now.")
    return Refused(f"{what}: it refused the notice.", _ANEW)


@contextmanager
def _listening() -> Iterator[_Heard]:
    """Let nothing that is logged in this thread be kept, and hear what Apprise says."""
    logger, heard = _logger(), _Heard()
    logger.addHandler(heard)
    try:
        with hushed():
            yield heard
    finally:
        logger.removeHandler(heard)


@cache
def _logger() -> logging.Logger:
    """Apprise's logger, which reaches nobody but us from now on, whatever the level of the log."""
    logger = logging.getLogger("apprise")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    return logger
