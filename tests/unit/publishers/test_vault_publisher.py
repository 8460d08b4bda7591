"""The vault publisher: its URL, its error table, what it makes of strange answers, and what it takes from around it."""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from secrets import token_hex
from typing import Any, ClassVar

import pytest
from hvac import exceptions as vault
from requests import Request
from requests import exceptions as http

from config.secret import Secret
from tasks.publishers import StoredPublisher, open_publisher, split_publish
from tasks.publishers._places.vault import wire
from tasks.publishers._places.vault.faults import FAULTS, AnswerTooLong, NotVault, NotVersioned, Redirected, translated
from tasks.publishers._places.vault.target import options_from
from tasks.publishers.vault import ATTEMPTS
from tasks.rotation.errors import (
    CredentialRejected,
    InvalidInput,
    OperatorNeeded,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RotatorError,
    TryAgain,
    Unavailable,
)
from tasks.rotation.ports import Publication

PUBLICATION = Publication(
    rotation_id="r1", rotation_name="billing", secret_name="NAME", version=2, sequence=7, value=Secret("new-key")
)
STAMP = json.dumps(
    {
        "rotation": "billing",
        "version": 2,
        "sequence": 7,
        "id": "r1",
        "values": [hashlib.sha256(b"new-key").hexdigest()[:32]],
    }
)


def opened(target: str) -> StoredPublisher:
    return open_publisher("vault", Secret(target))


# --- the URL -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "label"),
    [
        ("https://:hush@vault/secret/app#K", "vault:https://vault:443/secret/app#K"),
        ("https://:hush@VAULT:8200/secret/team/app/#K", "vault:https://vault:8200/secret/team/app#K"),
        ("https://vault/kv%2Fteam/app?token_env=T#K", "vault:https://vault:443/kv%2Fteam/app#K"),
        ("http://:hush@[::1]:8200/secret/app#K", "vault:http://[::1]:8200/secret/app#K"),
        ("http://:hush@localhost/secret/app#K", "vault:http://localhost:80/secret/app#K"),
        ("https://vault/secret/app?namespace=/a/b/&token_file=/t#K", "vault:https://vault:443/secret/app?namespace=a/b#K"),
        ("https://vault/secret/app?role_id_env=R&secret_id_file=/s&ca_file=/c#K", "vault:https://vault:443/secret/app#K"),
        ("https://vault/secret/app?role_id_file=/r&auth_mount=a/b#K", "vault:https://vault:443/secret/app#K"),
        ("https://vault/secret/app?kubernetes_role=r&kubernetes_token_file=/t#K", "vault:https://vault:443/secret/app#K"),
        ("https://:hush@vault/secret/my%20app#K%23", "vault:https://vault:443/secret/my app#K#"),
    ],
)  # fmt: skip
def test_the_label_says_where_without_credentials(target: str, label: str) -> None:
    assert opened(target).label == label
    assert split_publish(f"vault:{target}") == ("vault", Secret(target))


@pytest.mark.parametrize(
    "target",
    [
        "vault",
        "//:hush@vault/secret/app#K",
        "ftp://:hush@vault/secret/app#K",
        "https://:hush@/secret/app#K",
        "https://:hush@vault:hush/secret/app#K",
        "https://:hush@vault:0/secret/app#K",
        "https://:hush@va_ult!/secret/app#K",
        "https://[hush/secret/app#K",
        "https://hush@vault/secret/app#K",
        "https://hush:hush@vault/secret/app#K",
        "https://:12#hush@vault/secret/app#K",
        "https://:12?hush@vault/secret/app#K",
        "https://:hush@vault/secret/app",
        "https://:hush@vault/secret/app#",
        "https://:hush@vault/secret#K",
        "https://:hush@vault/#K",
        "https://:hush@vault/secret/../app#K",
        "https://:hush@vault/secret/a//b#K",
        "https://:hush@vault/secret/%2e%2e/b#K",
        "https://:hush@vault/secret/a%0Ab#K",
        "https://:hush@vault/secret/a#K%00",
        "https://:hush@vault/secret/a\n#K",
        f"https://:hush@vault/secret/app#{'K' * 81}",
        "http://:hush@vault/secret/app#K",
        "http://:hush@10.0.0.1/secret/app#K",
        "https://vault/secret/app#K",
        "https://:hush@vault/secret/app?token_file=/hush#K",
        "https://vault/secret/app?token_file=/hush&token_env=HUSH#K",
        "https://vault/secret/app?token_file=hush#K",
        "https://vault/secret/app?token_env=ROTATOR_MASTER_KEY#K",
        "https://vault/secret/app?secret_id_file=/hush#K",
        "https://vault/secret/app?token_file=/t&secret_id_file=/hush#K",
        "https://vault/secret/app?role_id_file=/hush&role_id_env=HUSH#K",
        "https://vault/secret/app?role_id_file=/hush&kubernetes_role=hush#K",
        "https://vault/secret/app?role_id=hush#K",
        "https://vault/secret/app?kubernetes_role=#K",
        "https://vault/secret/app?token_file=/t&auth_mount=hush#K",
        "https://vault/secret/app?token_file=/t&namespace=hush/../a#K",
        "https://vault/secret/app?token=hush#K",
    ],
)
def test_a_bad_url_is_refused_without_repeating_it(target: str) -> None:
    with pytest.raises(InvalidInput, match="--publish") as refused:
        opened(target)
    assert "hush" not in str(refused.value).lower()
    assert refused.value.__context__ is None


# --- the table ---------------------------------------------------------------------------------------------------


def test_every_exception_of_the_libraries_has_its_family() -> None:
    theirs = {
        kind
        for module in (vault, http)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__ and issubclass(kind, Exception) and not issubclass(kind, Warning)
    }
    assert theirs | {OSError, NotVault, NotVersioned, AnswerTooLong, Redirected} == set(FAULTS)


@pytest.mark.parametrize("kind", sorted(FAULTS, key=str))
def test_no_foreign_text_is_repeated(kind: type[Exception]) -> None:
    """An answer may hold the secret, and a message of the client the answer."""
    error = kind.__new__(kind)
    error.args = ("canary",)
    for changes in (False, True):
        said = translated(error, "vault:here", changes=changes)
        assert str(said).startswith("vault:here: ")
        assert "canary" not in str(said)
        assert isinstance(said, FAULTS[kind].family) or (changes and type(said) is OutcomeUnknown)


def test_a_certificate_is_refused_before_anything_is_sent_and_a_broken_line_after() -> None:
    lost = http.SSLError("eof")
    assert type(translated(lost, "vault:here", changes=True)) is OutcomeUnknown
    assert type(translated(lost, "vault:here")) is Unavailable
    lost.__cause__ = ssl.SSLCertVerificationError(1, "no")
    lost.__cause__.verify_message = "self-signed certificate"
    assert type(translated(lost, "vault:here", changes=True)) is OperatorNeeded
    assert "self-signed certificate" in str(translated(lost, "vault:here"))


# --- an answer that Vault would not give -------------------------------------------------------------------------


class Scripted(BaseHTTPRequestHandler):
    """Answers as the test says, and writes down what was asked."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    answers: ClassVar[dict[str, Callable[[Scripted], None]]]
    asked: ClassVar[list[tuple[str, str, dict[str, str], str]]]

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        self.asked.append((self.command, self.path, dict(self.headers), body))
        with suppress(OSError):  # who asked may not wait
            self.answers.get(f"{self.command} {self.path.split('/')[3]}", told(404))(self)

    do_GET = do_POST = do_PATCH = answer  # noqa: N815 - the base class looks for these names

    def log_message(self, format: str, *args: object) -> None:
        pass


Answers = dict[str, Callable[[Scripted], None]]


def told(status: int, body: object = None, **headers: str) -> Callable[[Scripted], None]:
    """An answer: bytes as they are, anything else as JSON."""
    content = body if isinstance(body, bytes) else json.dumps({"errors": []} if body is None else body).encode()

    def write(handler: Scripted) -> None:
        handler.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    return write


def hung_up(handler: Scripted) -> None:
    handler.close_connection = True


def version(fields: object, entries: object = None) -> dict[str, Any]:
    return {"data": {"data": fields, "metadata": {"version": 3, "custom_metadata": entries}}}


WELL: Answers = {
    "GET data": told(200, version({"K": "old"}, {"K.rotation.7": STAMP})),
    "PATCH metadata": told(204, b""),
    "PATCH data": told(200, {"data": {"version": 4}}),
    "POST capabilities-self": told(
        200, {"data": {"secret/data/app": ["read", "patch"], "secret/metadata/app": ["patch"]}}
    ),
}


@contextmanager
def scripted(**answers: Callable[[Scripted], None]) -> Iterator[tuple[str, list[tuple[str, str, dict[str, str], str]]]]:
    """The target of a server that answers well but for ``answers``, and what it was asked."""
    given = {name.replace("_", " ", 1).replace("_", "-"): answer for name, answer in answers.items()}
    asked: list[tuple[str, str, dict[str, str], str]] = []
    handler = type("Handler", (Scripted,), {"answers": WELL | given, "asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://:hush@127.0.0.1:{server.server_address[1]}/secret/app#K", asked
        finally:
            server.shutdown()
            thread.join()


def test_the_script_answers_like_vault() -> None:
    with scripted() as (target, asked):
        opened(target).check("NAME")
        opened(target).publish(PUBLICATION)
        assert asked[-1][0] == "PATCH"
        assert json.loads(asked[-1][3]) == {"options": {"cas": 3}, "data": {"K": "new-key"}}


STRANGE: dict[str, Callable[[Scripted], None]] = {
    "not JSON": told(200, b"<html>Welcome</html>"),
    "binary": told(200, bytes(range(256))),
    "empty": told(200, b""),
    "no content": told(204, b""),
    "a list": told(200, []),
    "a number": told(200, 7),
    "null": told(200, b"null"),
    "a number without end": told(200, b'{"data": ' + b"9" * 5000 + b"}"),
    "data that is a list": told(200, {"data": []}),
    "no metadata": told(200, {"data": {"K": "canary"}}),
    "fields that are a list": told(200, version(["canary"])),
    "a version that is text": told(200, {"data": {"data": {}, "metadata": {"version": "canary"}}}),
    "metadata that is a list": told(200, version({}, ["canary"])),
    "deeply nested": told(200, b"[" * 100_000),
    "huge": told(200, version({"K": "old", "OTHER": " " * wire.LARGEST_BYTES})),
    "compressed": told(200, b"\x1f\x8b\x08canary", **{"Content-Encoding": "gzip"}),
    "cut short": told(200, b"{", **{"Content-Length": "1000", "Connection": "close"}),
    "an error that is a list": told(404, []),
    "an error of numbers": told(400, {"errors": [1]}),
    "an error that is an object": told(400, {"errors": {"canary": 1}}),
    "an error of HTML": told(404, b"canary", **{"Content-Type": "text/html"}),
    "an error without end": told(500, b" " * (wire.LARGEST_BYTES + 1)),
    "a missing secret with half a body": told(404, {"data": {"metadata": "canary"}}),
    "nothing at all": hung_up,
}


@pytest.mark.parametrize("strange", STRANGE)
def test_a_strange_answer_is_an_error_of_ours(strange: str) -> None:
    for step in ("GET_data", "PATCH_metadata", "PATCH_data"):
        if strange == "no content" and step == "PATCH_metadata":
            continue  # that is what Vault answers
        with scripted(**{step: STRANGE[strange], "GET_sys": STRANGE[strange]}) as (target, _):
            publish = _raised_by(lambda: opened(target).publish(PUBLICATION_AGAIN))
            assert publish is not None or step == "PATCH_metadata"
            if step == "PATCH_data" and "error" not in strange and "missing" not in strange:
                assert type(publish) is OutcomeUnknown
            if step == "GET_data":
                assert _raised_by(lambda: opened(target).read_back("NAME", PUBLICATION.value)) is not None
                assert _raised_by(lambda: opened(target).withdraw(PUBLICATION)) is not None


PUBLICATION_AGAIN = Publication("r1", "billing", "NAME", 3, 8, Secret("new-key"))


def _raised_by(call: Callable[[], object]) -> RotatorError | None:
    """The error of ours, after a look at what it says."""
    raised: RotatorError | None = None
    try:
        call()
    except RotatorError as error:
        raised = error
    assert raised is None or raised.__context__ is None
    assert not [secret for secret in ("canary", "hush", "new-key") if secret in str(raised)]
    return raised


@pytest.mark.parametrize("capabilities", [{}, {"secret/data/app": 1}, {"secret/data/app": ["root"]}, []])
def test_strange_rights_are_an_error_of_ours(capabilities: object) -> None:
    with scripted(POST_capabilities_self=told(200, {"data": capabilities})) as (target, _):
        raised = _raised_by(lambda: opened(target).check("NAME"))
    assert raised is not None
    assert "not one of Vault" in str(raised)


@pytest.mark.parametrize(
    ("status", "reading", "writing"),
    [
        (307, OperatorNeeded, OperatorNeeded),
        (400, Refused, Refused),
        (401, CredentialRejected, CredentialRejected),
        (405, Refused, Refused),
        (412, TryAgain, TryAgain),
        (413, Refused, Refused),
        (418, Refused, Refused),
        (429, RateLimited, RateLimited),
        (500, Unavailable, OutcomeUnknown),
        (501, OperatorNeeded, OperatorNeeded),
        (502, Unavailable, OutcomeUnknown),
        (503, Unavailable, Unavailable),
        (504, Unavailable, OutcomeUnknown),
    ],
)
def test_what_a_status_means(status: int, reading: type[RotatorError], writing: type[RotatorError]) -> None:
    answer = told(status, {"errors": ["hush new-key"]}, **{"Retry-After": "7", "Location": "http://127.0.0.1:1/"})
    with scripted(GET_data=answer) as (target, _), pytest.raises(reading) as raised:
        opened(target).publish(PUBLICATION)
    assert type(raised.value) is reading
    assert "hush" not in str(raised.value)
    with scripted(PATCH_data=answer) as (target, _), pytest.raises(writing) as raised:
        opened(target).publish(PUBLICATION)
    assert type(raised.value) is writing
    assert "new-key" not in str(raised.value)


@pytest.mark.parametrize(
    ("told_so", "understood"),
    [("7", timedelta(seconds=7)), ("99999999999", timedelta(hours=1)), ("Wed, 21 Oct 2026", None), ("", None)],
)
def test_a_limit_tells_how_long(told_so: str, understood: timedelta | None) -> None:
    with scripted(GET_data=told(429, **{"Retry-After": told_so})) as (target, _), pytest.raises(RateLimited) as limited:
        opened(target).publish(PUBLICATION)
    assert limited.value.retry_after == understood


@pytest.mark.parametrize("step", ["GET_data", "PATCH_data"])
def test_a_redirect_is_not_followed_with_the_token(step: str) -> None:
    with scripted() as (elsewhere, asked):
        location = elsewhere.replace(":hush@", "").partition("#")[0]
        with scripted(**{step: told(307, b"", Location=location)}) as (target, _):
            assert "redirects" in str(_raised_by(lambda: opened(target).publish(PUBLICATION)))
        assert not asked


def test_a_server_that_is_not_there_can_be_tried_again() -> None:
    publisher = opened("http://:hush@127.0.0.1:1/secret/app#K")
    with pytest.raises(Unavailable, match="Connection refused"):
        publisher.publish(PUBLICATION)
    with pytest.raises(Unavailable, match="Connection refused"):
        publisher.withdraw(PUBLICATION)


def test_a_lost_answer_to_the_claim_leaves_the_value_alone() -> None:
    with scripted(PATCH_metadata=hung_up) as (target, asked):
        with pytest.raises(Unavailable, match="left as it is"):
            opened(target).publish(PUBLICATION_AGAIN)
        assert ("PATCH", "/v1/secret/data/app") not in [(command, path) for command, path, *_ in asked]


@pytest.mark.parametrize(("step", "family"), [("GET_data", Unavailable), ("PATCH_data", OutcomeUnknown)])
def test_an_answer_that_does_not_come_is_not_waited_for(
    step: str, family: type[RotatorError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "TIMEOUT_S", 0.1)
    with scripted(**{step: lambda handler: time.sleep(0.5)}) as (target, _), pytest.raises(family):
        opened(target).publish(PUBLICATION)


def test_an_answer_that_comes_in_drops_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def drip(handler: Scripted) -> None:
        told(200, b"", **{"Content-Length": "100000"})(handler)
        for _ in range(100):
            handler.wfile.write(b" ")
            time.sleep(0.02)

    monkeypatch.setattr(wire, "CALL_S", 0.2)
    began = time.monotonic()
    with scripted(GET_data=drip) as (target, _), pytest.raises(Unavailable):
        opened(target).publish(PUBLICATION)
    assert time.monotonic() - began < 1.5


def test_what_is_asked_after_the_time_is_over_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "CALL_S", 0.0)
    with scripted() as (target, asked):
        with pytest.raises(Unavailable):
            opened(target).publish(PUBLICATION)
        assert not asked
    assert type(translated(http.ConnectTimeout(), "vault:here", changes=True)) is Unavailable


def test_a_secret_that_others_always_change_is_left_alone() -> None:
    changed = told(400, {"errors": ["check-and-set parameter did not match the current version"]})
    with scripted(PATCH_data=changed) as (target, asked):
        with pytest.raises(TryAgain, match="someone else changed"):
            opened(target).publish(PUBLICATION)
        assert len(asked) == 2 * ATTEMPTS


# --- what comes from around --------------------------------------------------------------------------------------


def test_nothing_of_the_environment_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password canary\n")
    netrc.chmod(0o600)
    with scripted() as (proxy, proxied), scripted() as (target, asked):
        around = {
            "VAULT_TOKEN": "canary", "VAULT_ADDR": "http://127.0.0.1:1", "VAULT_NAMESPACE": "canary",
            "NETRC": str(netrc), "HTTP_PROXY": proxy.partition("#")[0], "http_proxy": proxy.partition("#")[0],
        }  # fmt: skip
        for name, value in around.items():
            monkeypatch.setenv(name, value)
        opened(target).publish(PUBLICATION)
        assert asked
        assert "canary" not in str(asked)
        assert not proxied
        assert {headers["X-Vault-Token"] for _, _, headers, _ in asked} == {"hush"}


def test_a_password_of_the_environment_is_not_sent_over_https_either(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine vault.internal login someone password canary\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    address = "https://vault.internal:443"
    client = wire.client_for(options_from(f"{address}/secret/app?token_file=/t#K"), wire.Transport(), "vault:here")
    prepared = client.session.prepare_request(Request("GET", f"{address}/v1/sys/health"))
    assert "Authorization" not in prepared.headers
    assert isinstance(client.session.get_adapter(f"{address}/v1/sys/health"), wire.Transport)


def test_the_client_logs_no_credential_and_no_value(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with scripted() as (target, asked):
        opened(target).publish(PUBLICATION_AGAIN)
        assert "new-key" in asked[-1][3]
    assert "/v1/secret/data/app" in caplog.text
    assert not [secret for secret in ("hush", "new-key", "old") if secret in caplog.text]


def test_a_token_comes_from_a_file_or_a_variable_anew_for_each_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file, first, second = tmp_path / "token", token_hex(8), token_hex(8)
    with scripted() as (target, asked):
        plain = target.replace(":hush@", "")
        by_file = opened(plain.replace("#", f"?token_file={file}#"))
        with pytest.raises(OperatorNeeded, match="cannot be read"):
            by_file.publish(PUBLICATION)
        for token in (first, second):
            file.write_text(f"{token}\n")
            by_file.publish(PUBLICATION)
            assert asked[-1][2]["X-Vault-Token"] == token
        by_variable = opened(plain.replace("#", "?token_env=VAULT_TOKEN_OF_OURS#"))
        with pytest.raises(OperatorNeeded, match="VAULT_TOKEN_OF_OURS"):
            by_variable.publish(PUBLICATION)
        monkeypatch.setenv("VAULT_TOKEN_OF_OURS", first)
        by_variable.publish(PUBLICATION)
        assert asked[-1][2]["X-Vault-Token"] == first


@pytest.mark.parametrize("token", ["two\nlines", "two\r\nX-Header: lines", "tökén", "a\0b"])
def test_what_cannot_be_a_token_is_not_sent(token: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(token.encode())
    with scripted() as (target, asked):
        publisher = opened(target.replace(":hush@", "").replace("#", f"?token_file={tmp_path}/token#"))
        with pytest.raises(OperatorNeeded, match="one line") as refused:
            publisher.publish(PUBLICATION)
        assert token not in str(refused.value)
        assert not asked


@pytest.mark.parametrize("strange", STRANGE)
def test_a_strange_answer_to_a_login_is_an_error_of_ours(strange: str, tmp_path: Path) -> None:
    (tmp_path / "role").write_text("hush")
    with scripted(POST_approle=STRANGE[strange]) as (target, asked):
        publisher = opened(target.replace(":hush@", "").replace("#", f"?role_id_file={tmp_path}/role#"))
        assert _raised_by(lambda: publisher.publish(PUBLICATION)) is not None
        assert {path for _, path, *_ in asked} == {"/v1/auth/approle/login"}


@pytest.mark.parametrize("token", [None, "", 7, "two\nlines", "tökén", ["a"]])
def test_a_login_that_gives_no_token_is_none(token: object, tmp_path: Path) -> None:
    (tmp_path / "role").write_text("hush")
    with scripted(POST_approle=told(200, {"auth": {"client_token": token}})) as (target, asked):
        publisher = opened(target.replace(":hush@", "").replace("#", f"?role_id_file={tmp_path}/role#"))
        with pytest.raises(OperatorNeeded, match="not one of Vault"):
            publisher.publish(PUBLICATION)
        assert len(asked) == 1


@pytest.mark.parametrize("content", [None, "not PEM", ""])
def test_certificates_that_cannot_be_read_are_named(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(OperatorNeeded, match="cannot be read") as refused:
        opened(f"https://:hush@127.0.0.1:1/secret/app?ca_file={tmp_path}/ca.pem#K").check("NAME")
    assert "ca.pem" in str(refused.value)
