"""The webhook publisher: whom it may tell, what it says and how it signs, and what every answer means."""

from __future__ import annotations

import base64
import inspect
import json
import logging
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote

import pytest
import standardwebhooks.webhooks
from standardwebhooks import Webhook, WebhookVerificationError

from config.secret import Secret
from tasks.publishers import StoredPublisher, open_publisher, split_publish
from tasks.rotation.errors import (
    Conflict,
    CredentialRejected,
    InvalidInput,
    OperatorNeeded,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RotatorError,
    Unavailable,
)
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication
from tests.contract.places.webhook import Receiver, listening, signing_secret

KEY = Secret(f"sk-or-v1-{token_hex(32)}")
PUBLICATION = Publication(
    rotation_id="r1", rotation_name="billing", secret_name="NAME", version=2, sequence=7, value=KEY
)
HUSH = f"whsec_{base64.b64encode(b'no secret, but long enough to be one').decode()}"
"""The same in every process, for it is in names of tests."""
FILE = "secret_file=/run/secrets/webhook"


def opened(target: str) -> StoredPublisher:
    return open_publisher("webhook", Secret(target))


def to(url: str, receiver: Receiver, options: str = "") -> StoredPublisher:
    return opened(f"{url}?secret={quote(receiver.secret, safe='')}{options}")


@pytest.fixture
def receiver() -> Receiver:
    return Receiver(signing_secret())


@pytest.fixture
def url(receiver: Receiver) -> Iterator[str]:
    with listening(receiver) as address:
        yield address


def asked(place: StoredPublisher, action: str) -> object:
    match action:
        case "publish":
            return place.publish(PUBLICATION)
        case "withdraw":
            return place.withdraw(PUBLICATION)  # type: ignore[func-returns-value]  # the test looks at what is raised
        case _:
            return place.check("NAME")  # type: ignore[func-returns-value]  # the test looks at what is raised


# --- the target --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "label"),
    [
        (f"https://hooks.internal/rotated?{FILE}", "webhook:https://hooks.internal/rotated"),
        (f"https://HOOKS.internal:443/rotated/?{FILE}", "webhook:https://hooks.internal/rotated/"),
        (f"https://hooks.internal:8443/a%20b?{FILE}&value=include", "webhook:https://hooks.internal:8443/a%20b"),
        (f"https://hooks.internal?secret={quote(HUSH)}", "webhook:https://hooks.internal"),
        ("https://10.0.0.7/rotated?secret_env=HOOK", "webhook:https://10.0.0.7/rotated"),
        (f"http://app.svc:8080/rotated?{FILE}", "webhook:http://app.svc:8080/rotated"),
        (f"http://127.0.0.1:8080/?{FILE}&value=include", "webhook:http://127.0.0.1:8080/"),
        (f"http://[::1]:8080/?{FILE}&value=include", "webhook:http://[::1]:8080/"),
    ],
)
def test_the_label_says_who_is_told_without_the_signing_secret(target: str, label: str) -> None:
    assert opened(target).label == label
    assert split_publish(f"webhook:{target}") == ("webhook", Secret(target))


@pytest.mark.parametrize(
    "target",
    [
        "hush",
        "https://hush/x",
        f"https://?{FILE}",
        f"ftp://hush/x?{FILE}",
        f"//hush/x?{FILE}",
        f"https://u:hush@host/x?{FILE}",
        f"https://host:0/hush?{FILE}",
        f"https://host:99999/hush?{FILE}",
        f"https://ho st/hush?{FILE}",
        f"https://host/hush\n?{FILE}",
        f"https://host/hush#x?{FILE}",
        f"http://host/hush?{FILE}&value=include",
        f"https://host/x?{FILE}&value=hush",
        f"https://host/x?{FILE}&token=hush",
        f"https://host/x?{FILE}&url=https://hush/",
        "https://host/x?secret_file=hush",
        "https://host/x?secret_env=ROTATOR_HUSH",
        "https://host/x?secret=",
        "https://host/x?secret=hush",
        f"https://host/x?secret={HUSH}&{FILE}",
        f"https://host/x?{FILE}&secret_env=HOOK",
        f"https://host/x?secret={HUSH.removeprefix('whsec_')}",
        f"https://host/x?secret={HUSH}{HUSH}",
        f"https://host/x?secret=whsec_{base64.b64encode(bytes(23)).decode()}",
        f"https://host/x?secret=whsec_{base64.b64encode(bytes(65)).decode()}",
        f"https://host/x?secret=whsec_hush%ff{HUSH}",
    ],
)
def test_a_bad_target_is_refused_without_repeating_it(target: str) -> None:
    with pytest.raises(InvalidInput, match="--publish") as refused:
        opened(target)
    assert "hush" not in str(refused.value)
    assert HUSH[6:] not in str(refused.value)
    assert refused.value.__context__ is None


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "0.0.0.0",
        "[::]",
        "224.0.0.1",
        "metadata.google.internal",
        "METADATA.google.internal.",
        "2852039166",
        "0xa9fea9fe",
        "0xA9.0xFE.0xA9.0xFE",
        "169.254.43518",
        "0251.0376.0251.0376",
        "169.254.169.254.",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_address_that_can_be_no_receiver_is_refused(scheme: str, host: str) -> None:
    with pytest.raises(InvalidInput):
        opened(f"{scheme}://{host}/latest?{FILE}")


# --- what is said ------------------------------------------------------------------------------------------------


def test_a_message_says_which_version_was_published_and_not_the_key(receiver: Receiver, url: str) -> None:
    to(url, receiver).publish(PUBLICATION)
    [(_, message)] = receiver.messages
    at = datetime.fromisoformat(message.pop("timestamp"))
    assert abs(datetime.now(at.tzinfo) - at) < timedelta(minutes=1)
    assert message == {
        "type": "rotation.version_published",
        "data": {"rotation": "billing", "rotation_id": "r1", "version": 2, "sequence": 7, "secret_name": "NAME"},
    }
    [(_, headers, body)] = receiver.requests
    assert headers["content-type"] == "application/json"
    assert KEY.reveal() not in f"{headers} {body!r}"


def test_the_key_is_in_it_only_where_that_was_asked_for(receiver: Receiver, url: str) -> None:
    place = to(url, receiver, "&value=include")
    place.publish(PUBLICATION)
    place.withdraw(PUBLICATION)
    place.check("NAME")
    assert [message["data"].get("value") for _, message in receiver.messages] == [KEY.reveal(), None, None]
    assert [message["type"] for _, message in receiver.messages] == [
        "rotation.version_published",
        "rotation.version_withdrawn",
        "rotation.check",
    ]
    assert receiver.messages[2][1]["data"] == {"secret_name": "NAME"}


def test_a_repeated_message_has_the_id_of_the_first_and_any_other_one_has_another(receiver: Receiver, url: str) -> None:
    place = to(url, receiver)
    for _ in range(2):
        place.publish(PUBLICATION)
    for rotation_id, version, sequence in (("r1", 3, 7), ("r1", 2, 8), ("r2", 2, 7), ("r1", 27, 8)):
        receiver.held.clear()
        place.publish(replace(PUBLICATION, rotation_id=rotation_id, version=version, sequence=sequence))
    place.withdraw(PUBLICATION)
    ids = [message_id for message_id, _ in receiver.messages]
    assert ids[0] == ids[1]
    assert len(set(ids[1:])) == len(ids) - 1
    assert all("." not in message_id and len(message_id) == 36 for message_id in ids)


def test_a_check_is_never_taken_for_a_repetition(receiver: Receiver, url: str) -> None:
    for _ in range(2):
        to(url, receiver).check("NAME")
    assert len({message_id for message_id, _ in receiver.messages}) == 2


def test_a_slash_at_the_end_stays(receiver: Receiver, url: str) -> None:
    to(f"{url}/", receiver).check("NAME")
    assert receiver.requests[0][0].endswith("/rotated/")


# --- the signature -----------------------------------------------------------------------------------------------


def test_whoever_has_another_secret_refuses_and_is_named(receiver: Receiver, url: str) -> None:
    place = to(url, Receiver(signing_secret()))
    for action in ("check", "publish", "withdraw"):
        with pytest.raises(CredentialRejected, match="401") as refused:
            asked(place, action)
        assert "signing secret" in refused.value.remedy
    assert receiver.held == {}


def test_a_message_that_was_changed_on_its_way_is_noticed(receiver: Receiver, url: str) -> None:
    to(url, receiver).publish(PUBLICATION)
    [(_, headers, body)] = receiver.requests
    Webhook(receiver.secret).verify(body, dict(headers))
    for changed in ({"webhook-id": "msg_1"}, {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}):
        with pytest.raises(WebhookVerificationError):
            Webhook(receiver.secret).verify(body, {**headers, **changed})
    with pytest.raises(WebhookVerificationError):
        Webhook(receiver.secret).verify(body.replace(b"billing", b"search"), dict(headers))


def test_the_secret_is_read_for_each_message_and_may_be_replaced_without_a_gap(
    receiver: Receiver, url: str, tmp_path: Path
) -> None:
    file, old, new = tmp_path / "secret", receiver.secret, signing_secret()
    place = opened(f"{url}?secret_file={file}")
    with pytest.raises(OperatorNeeded, match="cannot be read"):
        place.check("NAME")
    file.write_text(f"{old}\n{new}\n")
    place.check("NAME")
    receiver.secret = new
    place.check("NAME")
    file.write_text(f"{new}\n")
    place.check("NAME")


def test_the_secret_may_be_in_a_variable(receiver: Receiver, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place = opened(f"{url}?secret_env=HOOK_SECRET")
    with pytest.raises(OperatorNeeded, match="HOOK_SECRET"):
        place.check("NAME")
    monkeypatch.setenv("HOOK_SECRET", receiver.secret)
    place.check("NAME")


@pytest.mark.parametrize("content", ["hush", "whsec_hush", f"{HUSH}\nhush", f"{HUSH}é", "whsec_", HUSH[:20]])
def test_a_file_without_a_signing_secret_is_told_and_not_shown(
    receiver: Receiver, url: str, tmp_path: Path, content: str
) -> None:
    (tmp_path / "secret").write_text(content)
    with pytest.raises(CredentialRejected, match="24 to 64 bytes") as refused:
        opened(f"{url}?secret_file={tmp_path}/secret").publish(PUBLICATION)
    assert "hush" not in str(refused.value)
    assert HUSH[6:20] not in str(refused.value)
    assert receiver.requests == []


@pytest.mark.parametrize("length", [24, 25, 26, 32, 64])
def test_secrets_of_every_length_and_writing_are_taken(receiver: Receiver, url: str, length: int) -> None:
    """Without the '=' at the end, and with a '+' that was not encoded."""
    text = base64.b64encode(b"\xfb" * length).decode()
    receiver.secret = f"whsec_{text}"
    for written in (text, text.rstrip("=")):
        opened(f"{url}?secret=whsec_{written}").check("NAME")


def test_the_library_has_no_exception_that_good_secrets_could_raise() -> None:
    raised_by_library = {
        name
        for name, kind in inspect.getmembers(standardwebhooks.webhooks, inspect.isclass)
        if issubclass(kind, Exception)
    }
    assert raised_by_library == {"EmptyWebhookSecretError", "WebhookVerificationError"}  # empty; a receiver's own


# --- answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "publishing", "checking"),
    [
        (301, Refused, Refused),
        (307, Refused, Refused),
        (400, Refused, Refused),
        (401, CredentialRejected, CredentialRejected),
        (403, OperatorNeeded, OperatorNeeded),
        (404, Refused, Refused),
        (409, Conflict, Conflict),
        (410, OperatorNeeded, OperatorNeeded),
        (429, RateLimited, RateLimited),
        (500, OutcomeUnknown, Unavailable),
        (502, OutcomeUnknown, Unavailable),
        (503, OutcomeUnknown, Unavailable),
        (504, OutcomeUnknown, Unavailable),
    ],
)
def test_what_an_answer_means(
    receiver: Receiver, url: str, status: int, publishing: type[RotatorError], checking: type[RotatorError]
) -> None:
    place = to(url, receiver, "&value=include")
    receiver.answers_instead = (status, {"Location": "/hush"}, f"{KEY.reveal()} {receiver.secret}".encode())
    for action, family in (("publish", publishing), ("withdraw", publishing), ("check", checking)):
        if action == "withdraw" and status == 409:
            place.withdraw(PUBLICATION)  # it knows a newer one, which stays
            continue
        with pytest.raises(RotatorError) as failed:
            asked(place, action)
        assert type(failed.value) is family
        assert place.label in str(failed.value)
        assert not [text for text in (KEY.reveal(), receiver.secret, "hush") if text in str(failed.value)]
    assert len(receiver.requests) == 3


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
@pytest.mark.parametrize("body", [b"", b"\xff\0 not json", b"x" * 100_000])
def test_any_2xx_is_acceptance_whatever_else_it_says(receiver: Receiver, url: str, status: int, body: bytes) -> None:
    receiver.answers_instead = (status, {"Content-Encoding": "gzip"}, b"" if status == 204 else body)
    assert to(url, receiver).publish(PUBLICATION) is not None


@pytest.mark.parametrize(("status", "family"), [(429, RateLimited), (503, Unavailable)])
def test_it_is_asked_again_when_it_said(receiver: Receiver, url: str, status: int, family: type[RotatorError]) -> None:
    receiver.answers_instead = (status, {"Retry-After": "120"}, b"")
    with pytest.raises(family) as wait:
        to(url, receiver).publish(PUBLICATION)
    assert wait.value.retry_after == timedelta(minutes=2)  # type: ignore[attr-defined]  # both are TryAgain


def test_who_wants_no_more_is_taken_away_by_a_person(receiver: Receiver, url: str) -> None:
    receiver.answers_instead = (410, {}, b"")
    with pytest.raises(OperatorNeeded, match="410") as gone:
        to(url, receiver).publish(PUBLICATION)
    assert "Take this destination away" in gone.value.remedy


def test_a_redirect_is_never_followed(receiver: Receiver, url: str) -> None:
    elsewhere = Receiver(receiver.secret)
    with listening(elsewhere) as other:
        for status in (301, 302, 303, 307, 308):
            receiver.answers_instead = (status, {"Location": other}, b"")
            with pytest.raises(Refused, match="redirect"):
                to(url, receiver, "&value=include").publish(PUBLICATION)
    assert elsewhere.requests == []


def test_an_answer_that_is_lost_leaves_a_message_unknown(receiver: Receiver, url: str) -> None:
    receiver.answers_instead = (0, {}, b"")
    for action, family in (("publish", OutcomeUnknown), ("withdraw", OutcomeUnknown), ("check", Unavailable)):
        with pytest.raises(family, match=r"safe|Nothing was changed"):
            asked(to(url, receiver), action)


def test_a_receiver_that_is_not_there_was_told_nothing(receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    for action in ("publish", "withdraw", "check"):
        with pytest.raises(Unavailable, match="Nothing was sent"):
            asked(to(f"http://127.0.0.1:{port}/x", receiver), action)


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 two hundred\r\n\r\n", b"\0" * 70_000])
def test_what_answers_otherwise_than_in_http_is_no_receiver(receiver: Receiver, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        talking = threading.Thread(target=talk)
        talking.start()
        with pytest.raises(OutcomeUnknown):
            to(f"http://127.0.0.1:{server.getsockname()[1]}/x", receiver).publish(PUBLICATION)
        talking.join()


def test_nothing_is_logged_that_is_secret(receiver: Receiver, url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    place = to(url, receiver, "&value=include")
    place.publish(PUBLICATION)
    receiver.answers_instead = (500, {}, b"")
    with pytest.raises(OutcomeUnknown):
        place.publish(PUBLICATION)
    assert KEY.reveal() not in caplog.text
    assert receiver.secret not in caplog.text
    assert quote(receiver.secret, safe="") not in caplog.text


# --- the receipt -------------------------------------------------------------------------------------------------


def test_the_receipt_names_the_message_and_tells_one_key_from_another(receiver: Receiver, url: str) -> None:
    place = to(url, receiver)
    receipt = place.publish(PUBLICATION)
    assert receipt is not None
    assert receipt.split()[1] == receiver.messages[0][0]
    asked_before = len(receiver.requests)
    assert place.read_back("NAME", KEY, receipt) is Holding.SAME
    assert place.read_back("NAME", Secret("other"), receipt) is Holding.OTHER
    for stray in (None, "", receipt[1:], receipt.split()[1], receipt[:31]):
        assert place.read_back("NAME", KEY, stray) is Holding.OTHER
    assert len(receiver.requests) == asked_before
    assert json.dumps(KEY.reveal())[1:20] not in receipt
