"""Notices by Apprise, to real servers on loopback: taken or not, why not, in time, and no word of the address."""

from __future__ import annotations

import email
import io
import logging
import secrets
import subprocess
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator
from email import policy as mail_policy
from typing import Any

import pytest

from config.logging import configure_logging
from config.secret import Secret
from config.settings import read_settings
from tasks.notices import apprise
from tasks.notices.apprise import CAUSES, send, service_of
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
from tests.unit.told_here import Mailbox, Receiver, http_receiver, smtp_receiver

CANARY = f"canary{secrets.token_hex(8)}"
NOTICE = Notice("drift_found", Level.WARNING, "web drifted", "Rotation web\nWhy: <b>somebody</b> & co")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as made:
        yield made


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with smtp_receiver() as made:
        yield made


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that this process logs, at debug, our own lines and those of every library."""
    root = logging.getLogger()
    handlers, level, stream = list(root.handlers), root.level, io.StringIO()
    configure_logging(read_settings({"ROTATOR_LOG_LEVEL": "debug", "ROTATOR_LOG_FORMAT": "json"}), stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


def _json(receiver: Receiver, path: str = "", **options: str) -> Secret:
    more = "&".join(f"{name}={value}" for name, value in options.items())
    return Secret(f"json://user:{CANARY}@127.0.0.1:{receiver.port}/{path}" + (f"?{more}" if more else ""))


def _mail(mailbox: Mailbox) -> Secret:
    return Secret(
        f"mailto://user:{CANARY}@example.test:{mailbox.port}?smtp=127.0.0.1&mode=insecure&to=ops@example.test"
        "&from=rotator@example.test"
    )


def _refused(address: Secret) -> RotatorError:
    with pytest.raises(RotatorError) as raised:
        send(address, NOTICE)
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value) + str(raised.value)
    assert CANARY not in shown
    return raised.value


def test_a_notice_arrives_as_it_is(receiver: Receiver) -> None:
    send(_json(receiver), NOTICE)
    (taken,) = receiver.taken
    assert (taken["title"], taken["message"], taken["type"]) == (NOTICE.title, NOTICE.body, "warning")
    assert receiver.credentials[0].startswith("Basic ")


@pytest.mark.parametrize(("level", "kind"), [(Level.INFO, "info"), (Level.CRITICAL, "failure")])
def test_how_urgent_it_is_arrives_too(receiver: Receiver, level: Level, kind: str) -> None:
    send(_json(receiver), Notice("k", level, "t", "b"))
    assert receiver.taken[0]["type"] == kind


def test_a_mail_arrives(mailbox: Mailbox) -> None:
    send(_mail(mailbox), NOTICE)
    (text,) = mailbox.taken
    mail = email.message_from_string(text, policy=mail_policy.default)
    assert (mail["Subject"], mail["To"]) == (NOTICE.title, "ops@example.test")
    assert "rotator" in str(mail["From"])
    body = mail.get_body(("plain", "html"))
    assert body is not None
    assert "Rotation web" in body.get_content()
    assert "<b>somebody</b>" not in body.get_content() or body.get_content_type() == "text/plain"
    assert mailbox.logins


STATUSES = [
    (400, Refused),
    (401, CredentialRejected),
    (403, CredentialRejected),
    (404, Refused),
    (410, Refused),
    (429, RateLimited),
    (500, Unavailable),
    (503, Unavailable),
    (302, Refused),
]


@pytest.mark.parametrize(("status", "family"), STATUSES)
def test_a_status_decides_what_happens_next(
    receiver: Receiver, status: int, family: type[RotatorError], log: io.StringIO
) -> None:
    receiver.status, receiver.answer = status, CANARY.encode()
    error = _refused(_json(receiver))
    assert type(error) is family
    assert str(status) in error.message
    assert log.getvalue() == ""


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    with http_receiver() as elsewhere:
        receiver.status, receiver.location = 307, f"http://127.0.0.1:{elsewhere.port}/"
        assert isinstance(_refused(_json(receiver)), Refused)
        assert elsewhere.credentials == []


@pytest.mark.parametrize(
    ("answer", "family"),
    [
        ("450 4.2.0 try later", Unavailable),
        ("550 5.1.1 nobody here", Refused),
        ("552 5.2.2 full", Refused),
    ],
)
def test_a_mail_server_that_does_not_take_it(mailbox: Mailbox, answer: str, family: type[RotatorError]) -> None:
    mailbox.instead_of_taking = f"{answer} {CANARY}"
    error = _refused(_mail(mailbox))
    assert type(error) is family
    assert answer[:3] in error.message


def test_one_of_several_receivers_that_refuses_is_told_from_all_of_them(mailbox: Mailbox) -> None:
    address = Secret(_mail(mailbox).reveal().replace("to=ops@example.test", "to=ops@example.test,nobody@example.test"))
    mailbox.instead_of_taking, mailbox.taken_by = f"550 5.1.1 nobody here {CANARY}", "ops@"
    error = _refused(address)
    assert isinstance(error, TakenInPart)
    assert "mailto answered 550" in error.message
    assert len(mailbox.taken) == 1
    mailbox.taken_by = "no such receiver"
    assert isinstance(_refused(address), Refused)


def test_a_mail_server_that_does_not_accept_the_password(mailbox: Mailbox) -> None:
    mailbox.instead_of_letting_in = f"535 5.7.8 {CANARY}"
    assert isinstance(_refused(_mail(mailbox)), CredentialRejected)


def _free_port() -> int:
    with http_receiver() as closed:
        return closed.port


def test_nobody_at_home(log: io.StringIO) -> None:
    for service, address in (("json", _json(Receiver(_free_port()))), ("mailto", _mail(Mailbox(_free_port())))):
        error = _refused(address)
        assert isinstance(error, Unavailable)
        assert error.message == f"{service} was not reached: no connection could be made."
    assert log.getvalue() == ""


def test_a_server_that_does_not_answer_is_not_waited_for(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apprise, "_SOCKET_S", 0.2)
    receiver.dribble_s, receiver.answer = 30.0, b"x"
    began = time.monotonic()
    error = _refused(_json(receiver, rto="600", cto="600"))
    assert isinstance(error, OutcomeUnknown)
    assert "may have taken it" in error.message
    assert time.monotonic() - began < 10


def test_a_server_that_dribbles_for_ever_holds_nobody_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes in time for its socket; all of it never does."""
    monkeypatch.setattr(apprise, "SENDING_S", 0.5)
    receiver.dribble_s, receiver.answer = 0.1, b"x" * 100
    service_of(_json(receiver))
    began = time.monotonic()
    error = _refused(_json(receiver))
    assert isinstance(error, OutcomeUnknown)
    assert time.monotonic() - began < 5
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "notice")


def test_what_the_address_asks_for_is_not_tried_again_here(receiver: Receiver) -> None:
    receiver.status = 503
    _refused(_json(receiver, retry="3", wait="0.1"))
    assert len(receiver.credentials) == 1


def test_a_shorter_patience_of_the_address_counts() -> None:
    service = apprise._opened(Secret("json://h/?rto=1.5&cto=600"))
    assert (service.socket_read_timeout, service.socket_connect_timeout) == (1.5, 10.0)
    assert service.request_rate_per_sec == 0


@pytest.mark.parametrize(
    "text",
    ["x", "https://", f"nosuch://{CANARY}", f"slack://{CANARY}", f"http://{CANARY}@h", "json://" + "a" * 5000,
     f"json://h,mailto://{CANARY}\x00", "://", "\udcff"],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_being_repeated(text: str, log: io.StringIO) -> None:
    with pytest.raises(InvalidInput) as refused:
        service_of(Secret(text))
    assert CANARY not in str(refused.value) + "".join(traceback.format_exception(refused.value))
    assert log.getvalue() == ""


@pytest.mark.parametrize(
    ("address", "service"),
    [
        ("json://user:pass@h/path", "json"),
        ("mailtos://user:pass@example.com", "mailtos"),
        (f"slack://T1JJ3T3L2/A1BRTD4JD/{'TIiajkdnlazkcOXrIdevi7FQ'}/", "slack"),
        (f"https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/{'TIiajkdnlazkcOXrIdevi7FQ'}", "slack"),
    ],
)
def test_of_an_address_only_its_service_is_shown(address: str, service: str) -> None:
    assert service_of(Secret(address)) == service


def test_nothing_that_any_library_logs_meanwhile_is_kept(
    receiver: Receiver, mailbox: Mailbox, log: io.StringIO
) -> None:
    for address in (_json(receiver, path=CANARY), _mail(mailbox)):
        service_of(address)
        send(address, NOTICE)
    receiver.status = 500
    _refused(_json(receiver, path=CANARY))
    assert log.getvalue() == ""
    logging.getLogger("urllib3.connectionpool").debug("POST /services/%s", CANARY)
    logging.getLogger("apprise").critical("%s", CANARY)
    assert log.getvalue() == ""
    logging.getLogger("elsewhere").warning("is heard")
    assert "is heard" in log.getvalue()


def test_a_library_of_some_plugin_is_silent_too(monkeypatch: pytest.MonkeyPatch, log: io.StringIO) -> None:
    def chatters() -> bool:
        logging.getLogger("paho.mqtt.client").error("password %s", CANARY)
        return True

    monkeypatch.setattr(apprise, "_instantiated", lambda _url: Odd(chatters))
    send(Secret(CANARY), NOTICE)
    assert log.getvalue() == ""


def test_apprise_itself_would_have_told(receiver: Receiver, log: io.StringIO) -> None:
    """What the silence is for: left alone, Apprise and urllib3 print the address."""
    program = (
        "import logging, sys\n"
        "logging.basicConfig(level=1)\n"
        "import apprise\n"
        f"apprise.Apprise(['json://user:{CANARY}@127.0.0.1:{receiver.port}/{CANARY}']).notify('x')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.count(CANARY) >= 2


@pytest.mark.parametrize("level", ["debug", "error"])
def test_why_it_failed_is_known_whatever_is_logged(receiver: Receiver, level: str) -> None:
    root = logging.getLogger()
    handlers, before = list(root.handlers), root.level
    try:
        configure_logging(read_settings({"ROTATOR_LOG_LEVEL": level}), io.StringIO())
        receiver.status = 403
        assert isinstance(_refused(_json(receiver)), CredentialRejected)
    finally:
        root.handlers[:] = handlers
        root.setLevel(before)
        logging.captureWarnings(capture=False)


class Odd:
    """A service whose plugin does what none should."""

    schema = "odd"
    request_rate_per_sec = 0.0
    socket_connect_timeout = socket_read_timeout = 4.0

    def __init__(self, act: Any) -> None:
        self._act = act

    def notify(self, **_: object) -> bool:
        return bool(self._act())


def _fails() -> bool:
    raise LookupError(CANARY)


def _says(line: str, level: int = logging.WARNING) -> bool:
    logging.getLogger("apprise").log(level, line)
    return False


def _odd(monkeypatch: pytest.MonkeyPatch, act: Any) -> RotatorError:
    monkeypatch.setattr(apprise, "_instantiated", lambda _url: Odd(act))
    return _refused(Secret(CANARY))


def test_a_plugin_that_crashes_is_named_and_its_words_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    error = _odd(monkeypatch, _fails)
    assert isinstance(error, Broken)
    assert error.message == "odd failed with LookupError."


@pytest.mark.parametrize(
    ("said", "family", "problem"),
    [
        ("Could not: SSLError [SSL: CERTIFICATE_VERIFY_FAILED]", OperatorNeeded, "certificate"),
        ("Failed to resolve 'h' ([Errno -2] Name or service not known)", Unavailable, "cannot be found"),
        ("ReadTimeoutError: Read timed out. (read timeout=4.0)", OutcomeUnknown, "may have taken it"),
        ("SMTPServerDisconnected: Connection unexpectedly closed: timed out", OutcomeUnknown, "may have taken it"),
        ("ConnectTimeoutError: Connection to h timed out. (connect timeout=4.0)", Unavailable, "in time"),
        ("[Errno 111] Connection refused", Unavailable, "no connection"),
        ("something else entirely", Unavailable, "does not say why"),
        ("Failed to send: Too many, error=429.", RateLimited, "429"),
    ],
)
def test_of_apprises_words_only_known_ones_are_heard(
    monkeypatch: pytest.MonkeyPatch, said: str, family: type[RotatorError], problem: str
) -> None:
    error = _odd(monkeypatch, lambda: _says(f"{CANARY} {said} {CANARY}"))
    assert type(error) is family
    assert problem in error.message
    assert {cause.family for cause in CAUSES} == {OperatorNeeded, OutcomeUnknown, Unavailable}


@pytest.mark.parametrize(
    ("line", "family"),
    [
        ("Payload: {'message': 'Why: error=403, timed out'}", Unavailable),
        ("Socket Exception: (535, b'no')", CredentialRejected),
    ],
)
def test_at_debug_only_what_a_client_said_is_heard_and_not_the_notice(
    monkeypatch: pytest.MonkeyPatch, line: str, family: type[RotatorError]
) -> None:
    error = _odd(monkeypatch, lambda: _says(line, logging.DEBUG))
    assert type(error) is family
    assert "in time" not in error.message


def test_another_threads_words_are_not_taken_for_this_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def beside() -> bool:
        other = threading.Thread(target=_says, args=("error=403",))
        other.start()
        other.join()
        return False

    assert type(_odd(monkeypatch, beside)) is Unavailable


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    for act in (lambda: service_of(Secret("json://h")), lambda: send(Secret("json://h"), NOTICE)):
        with pytest.raises(OperatorNeeded) as refused:
            act()
        assert type(refused.value) is OperatorNeeded
        assert "pip install 'openrouter-rotator[notify]'" in refused.value.remedy


def test_importing_us_imports_no_apprise() -> None:
    program = (
        "import sys, tasks.jobs, tasks.wiring, tasks.operations.notices\n"
        "print(sorted({'apprise', 'requests', 'markdown'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_unverified_certificates_warn_nobody_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``verify=no`` urllib3 warns, naming the host; who wrote that into the address knows."""

    def warn() -> bool:
        warnings.warn(f"Unverified request to {CANARY}", stacklevel=1)
        return True

    monkeypatch.setattr(apprise, "_instantiated", lambda _url: Odd(warn))
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        send(Secret(CANARY), NOTICE)
