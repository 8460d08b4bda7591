"""How the kubernetes publisher logs in, and what it does with a server that is slow, dead, or not what it claims."""

from __future__ import annotations

import gzip
import inspect
import os
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import kubernetes.client.exceptions
import pytest
import urllib3.exceptions
import yaml
from kubernetes.config import incluster_config, kube_config

from config.secret import Secret
from tasks.publishers import StoredPublisher, open_publisher
from tasks.publishers._places.kubernetes import client as kubernetes_client
from tasks.publishers._places.kubernetes.client import LARGEST
from tasks.publishers._places.kubernetes.faults import EXCEPTIONS, Asking, asked, known, raised_for
from tasks.rotation.errors import (
    Broken,
    CredentialRejected,
    OperatorNeeded,
    OutcomeUnknown,
    RotatorError,
    TryAgain,
    Unavailable,
)
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication
from tests.contract.places._kube_api import running
from tests.contract.places._kube_cluster import Cluster, Namespace, cluster, namespace

SECRET = b'{"kind": "Secret", "metadata": {"resourceVersion": "1"}}'
RULES = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "patch", "create"]}]
PUBLICATION = Publication(
    rotation_id="r1", rotation_name="billing", secret_name="NAME", version=2, sequence=7, value=Secret("new-key")
)


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its name, unlike the test's, has no word that a message is searched for: labels name the kubeconfig in it."""
    return tmp_path_factory.mktemp("k")


@pytest.fixture(scope="module")
def peer() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture
def own(peer: Cluster) -> Iterator[Namespace]:
    with namespace(peer) as made:
        yield made


def at(kubeconfig: Path, name: str = "prod", **options: str) -> StoredPublisher:
    query = "".join(f"&{option}={value}" for option, value in options.items())
    return open_publisher("kubernetes", Secret(f"{name}/openrouter?kubeconfig={kubeconfig}{query}#KEY"))


def calls_of(publisher: StoredPublisher) -> list[Callable[[], object]]:
    """What asks and what writes."""
    return [lambda: publisher.check("NAME"), lambda: publisher.publish(PUBLICATION)]


def written(file: Path, server: str, **user: object) -> Path:
    """A kubeconfig for a server without TLS."""
    config = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "us"}}],
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "us", "user": user}],
    }
    file.write_text(yaml.safe_dump(config))
    return file


# --- logging in --------------------------------------------------------------------------------------------------


def test_a_kubeconfig_stays_as_it_is_and_leaves_no_files_behind(
    own: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = own.kubeconfig(tmp_path / "kubeconfig", own.account(RULES))
    before = file.read_bytes(), file.stat().st_mtime_ns
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    for _ in range(2):  # the client remembers the files that it made, which are gone
        at(file, own.name).publish(PUBLICATION)
        assert list(scratch.iterdir()) == []
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before


def test_a_context_is_chosen(own: Namespace, tmp_path: Path) -> None:
    file = own.kubeconfig(tmp_path / "kubeconfig", own.account(RULES))
    config = yaml.safe_load(file.read_text())
    config["current-context"] = "elsewhere"
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(OperatorNeeded, match="current context"):
        at(file, own.name).check("NAME")
    at(file, own.name, context="here").check("NAME")
    with pytest.raises(OperatorNeeded, match="the context nowhere") as told:
        at(file, own.name, context="nowhere").check("NAME")
    assert f"--kubeconfig {file}" in told.value.remedy


def test_a_token_is_read_from_its_file_for_each_call(own: Namespace, tmp_path: Path) -> None:
    token, first = tmp_path / "token", own.account(RULES)
    file = own.kubeconfig(tmp_path / "kubeconfig", "", tokenFile="token")
    token.write_text("wrong\n")
    with pytest.raises(CredentialRejected):
        at(file, own.name).check("NAME")
    token.write_text(f"{first}\n")  # a header cannot hold the line feed
    at(file, own.name).check("NAME")


def test_a_token_that_no_header_can_hold_is_not_repeated(own: Namespace, tmp_path: Path) -> None:
    for hidden in ("hush\nhush", "hush\u20ac"):
        file = own.kubeconfig(tmp_path / "kubeconfig", hidden)
        with pytest.raises(OperatorNeeded, match="one line of ASCII") as told:
            at(file, own.name).publish(PUBLICATION)
        assert "hush" not in str(told.value)
        assert told.value.__context__ is None


@pytest.mark.parametrize(
    "content",
    [
        None, b"", b"hush", b"\xffhush", b"a: [hush", b"[hush]", b"contexts: hush\ncurrent-context: hush\n",
        b"contexts: [1]\ncurrent-context: hush\nclusters: []\nusers: []\n",
        b"current-context: a\ncontexts: [{name: a, context: {cluster: hush}}]\nclusters: []\n",
        b"!!python/object/apply:os.system ['echo hush']",
    ],
)  # fmt: skip
def test_a_kubeconfig_that_is_none_is_told_and_not_repeated(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "kubeconfig"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(OperatorNeeded, match="the kubeconfig cannot be read") as told:
        at(file).check("NAME")
    assert "hush" not in str(told.value)
    assert told.value.__context__ is None


def test_a_certificate_that_we_may_not_read_is_told(
    own: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = own.kubeconfig(tmp_path / "kubeconfig", own.account(RULES))
    config = yaml.safe_load(file.read_text())
    del config["clusters"][0]["cluster"]["certificate-authority-data"]
    config["clusters"][0]["cluster"]["certificate-authority"] = "ca.crt"
    file.write_text(yaml.safe_dump(config))
    with pytest.raises(OperatorNeeded, match="kubeconfig cannot be read"):
        at(file, own.name).check("NAME")
    (tmp_path / "ca.crt").write_text(own.cluster.ca)
    at(file, own.name).check("NAME")
    may = os.access  # root may read everything
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "ca.crt" and may(path, mode))
    with pytest.raises(OperatorNeeded, match="kubeconfig cannot be read"):
        at(file, own.name).check("NAME")


def plugin(folder: Path, program: str) -> dict[str, object]:
    """A kubeconfig's user that a command logs in."""
    script = folder / "plugin.py"
    script.write_text(program)
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": sys.executable, "args": [str(script)]}}


def test_a_command_of_the_kubeconfig_logs_in(own: Namespace, tmp_path: Path) -> None:
    token = own.account(RULES)
    says = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}}
    file = own.kubeconfig(tmp_path / "kubeconfig", "", **plugin(tmp_path, f"import json; print(json.dumps({says!r}))"))
    at(file, own.name).publish(PUBLICATION)
    assert at(file, own.name).read_back("NAME", PUBLICATION.value) is Holding.SAME


def test_a_command_that_fails_is_hinted_at(own: Namespace, tmp_path: Path) -> None:
    file = own.kubeconfig(tmp_path / "kubeconfig", "", **plugin(tmp_path, "raise SystemExit('no login')"))
    with pytest.raises(CredentialRejected) as told:
        at(file, own.name).check("NAME")
    assert "If a command in the kubeconfig logs in" in told.value.remedy


def test_a_command_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_client, "LOGIN_S", 0.2)
    stop = tmp_path / "stop"
    waiting = f"import os, time\nwhile not os.path.exists({str(stop)!r}): time.sleep(0.05)"
    file = written(tmp_path / "kubeconfig", "http://127.0.0.1:1", **plugin(tmp_path, waiting))
    try:
        with pytest.raises(Unavailable, match="logging in"):
            at(file).publish(PUBLICATION)
        threads = threading.active_count()
        with pytest.raises(Unavailable, match="an earlier attempt"):
            at(file).publish(PUBLICATION)
        assert threading.active_count() == threads
    finally:
        stop.touch()
    give_up_at = time.monotonic() + 10
    while threading.active_count() == threads and time.monotonic() < give_up_at:
        time.sleep(0.02)
    with pytest.raises(Unavailable, match=r"logging in|cannot be reached"):
        at(file).publish(PUBLICATION)


def test_nothing_stays_of_an_embedded_key_even_of_a_call_that_was_killed(
    own: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name, age_s in (("openrouter-rotator-old", 7200), ("openrouter-rotator-new", 10), ("other", 7200)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").touch()
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    at(own.kubeconfig(tmp_path / "kubeconfig", own.account(RULES)), own.name).publish(PUBLICATION)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"openrouter-rotator-new", "other"}
    assert not [file for file in kube_config._temp_files.values() if file.startswith(str(tmp_path))]


@pytest.fixture
def pod(own: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that a pod's service account finds its credentials in."""
    host, _, port = own.cluster.url.removeprefix("https://").partition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    (tmp_path / "ca.crt").write_text(own.cluster.ca)
    return tmp_path


def test_without_a_kubeconfig_it_is_the_service_account_of_the_pod(own: Namespace, pod: Path) -> None:
    publisher = open_publisher("kubernetes", Secret(f"{own.name}/openrouter#KEY"))
    (pod / "token").write_text(f"{own.account(RULES)}\n")
    publisher.publish(PUBLICATION)
    assert own.value("openrouter", "KEY") == "new-key"
    (pod / "token").write_text("expired")  # read anew for each call
    with pytest.raises(CredentialRejected):
        publisher.publish(PUBLICATION)
    (pod / "token").unlink()
    with pytest.raises(OperatorNeeded, match="service account") as told:
        publisher.publish(PUBLICATION)
    assert "kubeconfig" in told.value.remedy


def test_a_server_that_somebody_else_vouches_for_is_not_trusted(
    own: Namespace, pod: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running(tmp_path_factory.mktemp("other")) as other:
        (pod / "ca.crt").write_text(other.ca_file.read_text())
    token = token_hex(16)
    (pod / "token").write_text(token)
    publisher = open_publisher("kubernetes", Secret(f"{own.name}/openrouter#KEY"))
    for call in calls_of(publisher):
        with pytest.raises(OperatorNeeded, match="TLS") as told:
            call()
        assert token not in str(told.value)


# --- the line ----------------------------------------------------------------------------------------------------


@contextmanager
def server(*answers: Callable[[socket.socket], None] | bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Its address, and what it was asked: each request is answered as told, the last way over and over."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for number in range(100):
                try:
                    line = listening.accept()[0]
                except OSError:
                    return
                with line:
                    heard.append(line.recv(65536))
                    answer = answers[min(number, len(answers) - 1)]
                    if isinstance(answer, bytes):
                        line.sendall(answer)
                    else:
                        answer(line)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", heard
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


def silent(line: socket.socket) -> None:
    line.settimeout(5)
    line.recv(1)  # until the other side gives up


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_client, "TIMEOUT_S", 0.2)


def test_a_server_that_is_not_there_can_be_tried_again(tmp_path: Path) -> None:
    publisher = at(written(tmp_path / "kubeconfig", "http://127.0.0.1:1"))
    for call in calls_of(publisher):
        with pytest.raises(Unavailable, match="cannot be reached"):
            call()


@pytest.mark.parametrize("address", ["http://nowhere.invalid", "nonsense", "ftp://h", "http://[::1", "http://h:99999"])
def test_an_address_that_leads_nowhere_is_told(tmp_path: Path, address: str) -> None:
    with pytest.raises((OperatorNeeded, Unavailable)):
        at(written(tmp_path / "kubeconfig", address)).publish(PUBLICATION)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("dying", [silent, b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b"SSH-2.0\r\n"])
def test_an_answer_that_is_lost_is_unknown_once_something_was_sent(tmp_path: Path, dying: bytes) -> None:
    with server(dying) as (url, _), pytest.raises((Unavailable, OperatorNeeded)):
        at(written(tmp_path / "kubeconfig", url)).publish(PUBLICATION)
    with server(http(SECRET), dying) as (url, heard):
        with pytest.raises(OutcomeUnknown, match="safe") as told:
            at(written(tmp_path / "kubeconfig", url)).publish(PUBLICATION)
        assert "new-key" not in str(told.value)
        assert len(heard) == 2  # nothing is sent twice behind our back


def test_a_question_that_failed_is_not_asked_again(tmp_path: Path) -> None:
    with server(http(b"", "503 Service Unavailable", "Retry-After: 1")) as (url, heard):
        with pytest.raises(Unavailable):
            at(written(tmp_path / "kubeconfig", url)).read_back("NAME", PUBLICATION.value)
        assert len(heard) == 1


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_credential_is_not_taken_elsewhere(tmp_path: Path, status: str) -> None:
    token = token_hex(16)
    with server(http(SECRET)) as (elsewhere, heard), server(http(b"", status, f"Location: {elsewhere}/")) as (url, _):
        publisher = at(written(tmp_path / "kubeconfig", url, token=token))
        for call in calls_of(publisher):
            with pytest.raises(OperatorNeeded, match="elsewhere"):
                call()
        assert heard == []


def dripping(line: socket.socket) -> None:
    line.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    for _ in range(200):
        try:
            line.sendall(b" ")
        except OSError:
            return
        time.sleep(0.02)


def test_an_answer_larger_than_any_is_not_read(tmp_path: Path) -> None:
    def large(line: socket.socket) -> None:
        with suppress(OSError):  # whoever has heard enough hangs up
            line.sendall(http(SECRET + b" " * LARGEST))

    with server(large) as (url, _), pytest.raises(OperatorNeeded, match=f"{LARGEST >> 20} MiB"):
        at(written(tmp_path / "kubeconfig", url)).read_back("NAME", PUBLICATION.value)


def test_an_answer_in_drops_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_client, "BUDGET_S", 0.3)
    with server(dripping) as (url, _), pytest.raises(OperatorNeeded, match="came in drops"):
        at(written(tmp_path / "kubeconfig", url)).read_back("NAME", PUBLICATION.value)


def test_a_compressed_answer_is_not_unfolded(tmp_path: Path) -> None:
    bomb = gzip.compress(SECRET + b" " * (1 << 24))
    with (
        server(http(bomb, "200 OK", "Content-Encoding: gzip")) as (url, _),
        pytest.raises(OperatorNeeded, match="not the Kubernetes API's"),
    ):
        at(written(tmp_path / "kubeconfig", url)).read_back("NAME", PUBLICATION.value)


def test_nothing_is_sent_when_the_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_client, "BUDGET_S", 0.0)
    with server(http(SECRET)) as (url, heard):
        with pytest.raises(TryAgain, match="time was up"):
            at(written(tmp_path / "kubeconfig", url)).publish(PUBLICATION)
        assert heard == []


def test_what_is_left_of_the_time_bounds_each_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_client, "BUDGET_S", 0.2)
    with server(silent) as (url, _), pytest.raises(Unavailable):
        at(written(tmp_path / "kubeconfig", url)).publish(PUBLICATION)


def test_our_limits_leave_a_publication_well_under_half_a_minute() -> None:
    assert kubernetes_client.LOGIN_S + kubernetes_client.BUDGET_S + kubernetes_client.TIMEOUT_S < 30


# --- the table ---------------------------------------------------------------------------------------------------


def test_every_exception_of_the_libraries_has_its_family() -> None:
    libraries = (kubernetes.client.exceptions, urllib3.exceptions, kubernetes_client)
    raised = {
        f"{kind.__module__}.{kind.__qualname__}"
        for library in libraries
        for _, kind in inspect.getmembers(library, inspect.isclass)
        if issubclass(kind, Exception) and not issubclass(kind, Warning) and kind.__module__ == library.__name__
    }
    assert raised | {"builtins.OSError", "builtins.ValueError"} == set(EXCEPTIONS)


@pytest.mark.parametrize("name", sorted(EXCEPTIONS))
def test_no_foreign_error_is_repeated_or_chained(name: str) -> None:
    module, _, kind = name.rpartition(".")
    error = getattr(sys.modules[module], kind)
    raised = error.__new__(error)
    raised.args = ("canary",)

    def fail() -> None:
        raise raised

    for changes in (False, True):
        with pytest.raises(RotatorError) as told:
            asked(fail, Asking("kubernetes:here", "get", "secrets", "prod", "openrouter", changes=changes))  # type: ignore[arg-type]  # it never answers
        assert str(told.value).startswith("kubernetes:here: ")
        assert "canary" not in str(told.value)
        assert told.value.__context__ is None


@pytest.mark.parametrize(
    ("error", "asking", "changing"),
    [
        (urllib3.exceptions.ReadTimeoutError, Unavailable, OutcomeUnknown),
        (urllib3.exceptions.ProtocolError, Unavailable, OutcomeUnknown),
        (urllib3.exceptions.ConnectTimeoutError, Unavailable, Unavailable),
        (urllib3.exceptions.NewConnectionError, Unavailable, Unavailable),
        (urllib3.exceptions.NameResolutionError, Unavailable, Unavailable),
        (urllib3.exceptions.ProxyError, Unavailable, Unavailable),
        (urllib3.exceptions.LocationParseError, OperatorNeeded, OperatorNeeded),
        (kubernetes.client.exceptions.ApiException, OperatorNeeded, OperatorNeeded),
        (kubernetes.client.exceptions.ApiTypeError, Broken, Broken),
        (FileNotFoundError, Unavailable, Unavailable),
        (ssl.SSLError, Unavailable, Unavailable),
        (UnicodeEncodeError, OperatorNeeded, OperatorNeeded),
        (kubernetes_client.OutOfTime, Unavailable, Unavailable),
        (kubernetes_client.TooMuch, OperatorNeeded, OutcomeUnknown),
    ],
)
def test_what_an_error_means_to_a_question_and_to_a_change(
    error: type[Exception], asking: type[Exception], changing: type[Exception]
) -> None:
    about = Asking("kubernetes:here", "patch", "secrets", "prod", "openrouter")
    fault = known(error.__new__(error))
    assert type(raised_for(fault, about)) is asking
    assert type(raised_for(fault, replace(about, changes=True))) is changing
