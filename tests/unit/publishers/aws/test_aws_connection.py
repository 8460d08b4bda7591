"""Talking to AWS: who we are there, how long we wait, what each failure means, and what nobody gets to read."""

from __future__ import annotations

import inspect
import io
import logging
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from secrets import token_hex

import pytest
from botocore import exceptions, xform_name
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from config.logging import configure_logging
from config.secret import Secret
from config.settings import Settings
from tasks.publishers import open_publisher
from tasks.publishers._places.aws import session
from tasks.publishers._places.aws.codes import CODES, translated
from tasks.publishers._places.aws.faults import FAULTS
from tasks.rotation.errors import (
    Conflict,
    CredentialRejected,
    NotFound,
    OperatorNeeded,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RotatorError,
    TryAgain,
    Unavailable,
)
from tasks.rotation.ports import Publication
from tests.contract.places._moto import REGION, Aws, User, alone, profiles
from tests.contract.places.aws_ssm import LEAST
from tests.habits.house import TOP, text_of
from tests.unit.publishers.aws.conftest import HANG_UP, Lie, Line, refusal, zipped

KINDS = ("aws-secrets-manager", "aws-ssm")
MODULES = ("session", "secret", "parameter")


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing in this process's environment says who we are at AWS."""
    alone(monkeypatch)
    return monkeypatch


@pytest.fixture
def somebody(nobody: pytest.MonkeyPatch) -> None:
    nobody.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    nobody.setenv("AWS_SECRET_ACCESS_KEY", token_hex(20))


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def ask(kind: str = "aws-ssm", **options: str) -> None:
    query = "&".join(f"{name}={value}" for name, value in {"region": REGION, **options}.items())
    open_publisher(kind, Secret(f"app?{query}")).check("NAME")


def failure(kind: str = "aws-ssm", **options: str) -> RotatorError:
    with pytest.raises(RotatorError) as caught:
        ask(kind, **options)
    assert caught.value.__context__ is None
    return caught.value


# --- the tables ---------------------------------------------------------------------------------------------------


def test_every_exception_of_the_client_has_its_family() -> None:
    raised = {
        kind
        for _, kind in inspect.getmembers(exceptions, inspect.isclass)
        if issubclass(kind, Exception) and not issubclass(kind, Warning) and kind.__module__ == exceptions.__name__
    }
    assert raised - set(FAULTS) == {ClientError, exceptions.EventStreamError}  # told by their codes


@pytest.mark.parametrize("service", ["secretsmanager", "ssm", "sts"])
def test_every_code_that_an_operation_of_ours_may_answer_with_has_its_family(service: str) -> None:
    """The operations are those that our modules call; the codes are the service's own model's."""
    sources = " ".join(text_of(TOP / "tasks" / "publishers" / "_places" / "aws" / f"{name}.py") for name in MODULES)
    model = Session().get_service_model(service)
    called = {name for name in model.operation_names if re.search(rf"client\.{xform_name(name)}\b", sources)}
    called |= {"AssumeRoleWithWebIdentity"} if service == "sts" else set()
    assert len(called) == {"secretsmanager": 7, "ssm": 6, "sts": 2}[service]
    shapes = [shape for name in called for shape in model.operation_model(name).error_shapes]
    assert {shape.metadata.get("error", {}).get("code", shape.name) for shape in shapes} <= set(CODES)


@pytest.mark.parametrize(
    ("code", "family"),
    [
        ("ThrottlingException", RateLimited),
        ("TooManyUpdates", RateLimited),
        ("AccessDeniedException", OperatorNeeded),
        ("UnrecognizedClientException", CredentialRejected),
        ("ExpiredTokenException", CredentialRejected),
        ("InvalidSignatureException", CredentialRejected),
        ("ResourceNotFoundException", NotFound),
        ("ParameterNotFound", NotFound),
        ("InvalidRequestException", Refused),
        ("InvalidParameterException", Refused),
        ("ValidationException", Refused),
        ("DecryptionFailure", OperatorNeeded),
        ("InvalidKeyId", OperatorNeeded),
        ("LimitExceededException", OperatorNeeded),
        ("ParameterMaxVersionLimitExceeded", OperatorNeeded),
        ("ResourceExistsException", Conflict),
        ("InternalServiceError", Unavailable),
        ("ServiceUnavailable", Unavailable),
    ],
)
def test_what_a_code_means(code: str, family: type[RotatorError]) -> None:
    assert type(meaning(code)) is family
    behind_a_write = OutcomeUnknown if family is Unavailable else family
    assert type(meaning(code, changes=True)) is behind_a_write


@pytest.mark.parametrize(
    ("status", "family"),
    [(302, OperatorNeeded), (401, CredentialRejected), (403, OperatorNeeded), (404, Refused), (418, Refused),
     (429, RateLimited), (500, Unavailable), (503, Unavailable), (0, Refused)],
)  # fmt: skip
def test_what_an_unknown_code_means_is_told_by_its_status(status: int, family: type[RotatorError]) -> None:
    assert type(meaning(str(status), status=status)) is family


def test_what_is_told_of_a_wait_is_kept_within_reason() -> None:
    def wait(told: str) -> timedelta | None:
        error = meaning("ThrottlingException", headers={"retry-after": told})
        assert isinstance(error, TryAgain)
        return error.retry_after

    assert wait("7") == timedelta(seconds=7)
    assert wait("9" * 40) == timedelta(hours=1)
    assert wait("Wed, 21 Oct 2026 07:28:00 GMT") is wait("-1") is wait("²") is wait("") is None


def test_a_key_that_may_not_be_used_is_told_from_a_secret_that_may_not_be_read() -> None:
    assert "kms:Decrypt" in meaning("AccessDeniedException", message="Access to KMS is not allowed").remedy
    assert meaning("AccessDeniedException").remedy == "Allow secretsmanager:PutSecretValue on it."


@pytest.mark.parametrize("code", [*sorted(CODES), "Unheard"])
def test_no_foreign_text_is_repeated(code: str) -> None:
    said = meaning(code, message="Value 'canary' at 'value' failed to satisfy constraint")
    assert "canary" not in str(said)
    assert str(said).startswith("aws:here: ")


@pytest.mark.parametrize("kind", sorted(FAULTS, key=str))
def test_no_exception_of_the_client_is_repeated(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    error.args = ("Invalid type for parameter SecretString, value: canary",)
    for changes in (False, True):
        said = translated(error, "aws:here", "ssm", changes=changes, still="All is well.")
        assert isinstance(said, FAULTS[kind].family) or (changes and isinstance(said, OutcomeUnknown))
        assert "canary" not in str(said)


def meaning(
    code: str,
    *,
    changes: bool = False,
    status: int = 400,
    message: str = "no",
    headers: dict[str, str] | None = None,
) -> RotatorError:
    told = {"HTTPStatusCode": status, "HTTPHeaders": headers or {}}
    error = ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": told}, "PutSecretValue")  # type: ignore[typeddict-item]  # as much as is looked at
    return translated(error, "aws:here", "secretsmanager", changes=changes, still="All is well.")


# --- who we are ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_without_credentials_nothing_hangs_and_a_person_is_told(kind: str, nobody: pytest.MonkeyPatch) -> None:
    """The metadata service of a machine is there, and never answers."""
    with silent_server() as metadata:
        nobody.setenv("AWS_EC2_METADATA_DISABLED", "false")
        nobody.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata)
        began = time.monotonic()
        said = failure(kind, endpoint="http://127.0.0.1:1")
        assert time.monotonic() - began < 10
    assert type(said) is OperatorNeeded
    assert "no AWS credentials" in said.message
    assert "role" in said.remedy


def test_a_lender_of_credentials_that_does_not_answer_is_not_waited_for(
    nobody: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """STS lends a role to a web identity over a client of botocore's own, which by default waits for minutes."""
    (tmp_path / "token").write_text("a token")
    nobody.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")
    nobody.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    nobody.setattr(session, "_CONFIG", session._CONFIG.merge(Config(read_timeout=0.2)))
    with silent_server() as lender:
        nobody.setenv("AWS_ENDPOINT_URL_STS", lender)
        began = time.monotonic()
        said = failure(endpoint="http://127.0.0.1:1")
        assert time.monotonic() - began < 3
    assert type(said) is Unavailable


def test_each_request_is_made_once_and_waits_five_seconds() -> None:
    told = vars(session._CONFIG)
    assert (told["connect_timeout"], told["read_timeout"]) == (5, 5)
    assert told["retries"] == {"total_max_attempts": 1, "mode": "standard"}


def test_a_web_identity_whose_token_cannot_be_read_is_told(nobody: pytest.MonkeyPatch) -> None:
    nobody.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r")
    nobody.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token")
    said = failure(endpoint="http://127.0.0.1:1")
    assert type(said) is OperatorNeeded
    assert "cannot be read" in said.message


@pytest.mark.parametrize(
    ("variables", "options", "problem"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"}, {}, "no AWS credentials"),
        ({}, {"profile": "nowhere"}, "no such profile"),
        ({"AWS_PROFILE": "nowhere"}, {}, "no such profile"),
        ({}, {"region": ""}, "region is missing"),
        ({"AWS_CONFIG_FILE": __file__}, {}, "wrong or incomplete"),
    ],
)
def test_a_wrong_setup_is_told(
    nobody: pytest.MonkeyPatch, variables: dict[str, str], options: dict[str, str], problem: str
) -> None:
    for name, value in variables.items():
        nobody.setenv(name, value)
    region = options.pop("region", REGION)
    target = "&".join(["endpoint=http://127.0.0.1:1", *(f"{n}={v}" for n, v in options.items())])
    with pytest.raises(OperatorNeeded, match=problem):
        open_publisher("aws-ssm", Secret(f"app?{target}{f'&region={region}' if region else ''}")).check("NAME")


def test_a_program_that_should_lend_credentials_and_hangs_is_not_waited_for(
    nobody: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    nobody.setattr(session, "LOGIN_S", 0.3)
    stop, profile = tmp_path / "stop", f"slow-{token_hex(4)}"
    program = tmp_path / "lend"
    program.write_text(f"#!/bin/sh\nwhile [ ! -e {stop} ]; do sleep 0.05; done\n")
    program.chmod(0o755)
    (tmp_path / "config").write_text(f"[profile {profile}]\ncredential_process = {program}\n")
    nobody.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    try:
        for problem in ("logging in took longer", "an earlier attempt to log in"):
            said = failure(profile=profile, endpoint="http://127.0.0.1:1")
            assert type(said) is Unavailable
            assert problem in said.message
    finally:
        stop.touch()


def test_what_many_conversations_share_does_not_grow(nobody: pytest.MonkeyPatch) -> None:
    paths = []
    for _ in range(3):
        failure(endpoint="http://127.0.0.1:1")
        paths.append(len(session._loader().search_paths))
    assert len(set(paths)) == 1


@pytest.mark.parametrize("wrong", ["key_id", "secret_key"])
def test_credentials_that_aws_does_not_know_are_told(aws: Aws, tmp_path: Path, wrong: str) -> None:
    """moto says it with status 403 and XML, which tells no more than that it is forbidden."""
    user = aws.user(*LEAST)
    bad = User(
        user.name, *("AKIAIOSFODNN7NOBODY" if wrong == n else getattr(user, n) for n in ("key_id", "secret_key"))
    )
    with profiles(tmp_path, bad):
        assert isinstance(failure(profile=bad.name, endpoint=aws.url), OperatorNeeded)


def test_a_role_is_assumed_and_lends_its_rights(aws: Aws, line: Line, tmp_path: Path, publication: Publication) -> None:
    borrower = aws.user("sts:AssumeRole")
    role = aws.role(*LEAST)
    target = (
        f"/app/{token_hex(4)}?region={REGION}&profile={borrower.name}&endpoint={line.url}&sts_endpoint={line.url}"
        f"&role={role}&external_id=id-of-ours"
    )
    with profiles(tmp_path, borrower):
        publisher = open_publisher("aws-ssm", Secret(target))
        publisher.publish(publication)
        publisher.check("NAME")
    assert line.heard[0] == "AssumeRole"
    assert "ExternalId=id-of-ours" in line.bodies[0]
    assert "DurationSeconds=900" in line.bodies[0]
    assert "id-of-ours" not in publisher.label


@pytest.mark.parametrize("lie", [refusal("AccessDenied", 403), Lie(403)])
def test_a_role_that_is_not_lent_is_told(line: Line, somebody: None, lie: Lie) -> None:
    xml = b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
    line.before = lambda _: Lie(lie.status, xml)
    role = "arn:aws:iam::123456789012:role/r"
    said = failure(role=role, sts_endpoint=line.url, endpoint=line.url)
    assert type(said) is OperatorNeeded
    assert "sts:AssumeRole" in said.remedy
    assert line.heard == ["AssumeRole"]


# --- what comes back ----------------------------------------------------------------------------------------------

HOSTILE = [
    Lie(200, b""),
    Lie(200, b"not json"),
    Lie(200, b"[]"),
    Lie(200, b"null"),
    Lie(200, b'"text"'),
    Lie(200, b"\xff\xfe\0"),
    Lie(200, b"{}"),
    Lie(200, b'{"ARN": 7, "Parameters": 7, "VersionIdsToStages": 7}'),
    Lie(200, b'{"ARN": "a", "VersionIdsToStages": {"a": 7}, "Parameters": [7]}'),
    Lie(200, b'{"ARN": "a", "DeletedDate": "soon", "Parameters": [{"Version": "x", "Type": []}]}'),
    Lie(200, b'{"ARN": ["' + b"x" * 5_000_000 + b'"], "Parameters": [[]]}'),
    Lie(200, b"[" * 100_000),
    Lie(200, b"{}", {"Content-Length": "1000"}),
    Lie(200, b"{}", {"Content-Encoding": "gzip"}),
    zipped("[" + "0," * 1_000_000 + "0]"),
    Lie(302, b"", {"Location": "http://127.0.0.1:1/"}),
    Lie(400, b"not json"),
    Lie(400, b"[]"),
    Lie(400, b'{"__type": 7, "message": {}}'),
    Lie(400, b'{"__type": "' + b"x" * 5_000_000 + b'"}'),
    Lie(503, b"<html>"),
    HANG_UP,
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lie", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_is_answered_is_an_error_of_ours(kind: str, lie: Lie, line: Line, somebody: None) -> None:
    line.before = lambda _: lie
    said = failure(kind, endpoint=line.url)
    assert len(str(said)) < 500
    assert len(line.heard) == 1


@pytest.mark.parametrize("lie", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_is_answered_to_a_write_it_is_never_taken_for_success(
    lie: Lie, line: Line, worker: User, publication: Publication
) -> None:
    line.before = lambda operation: lie if operation == "PutParameter" else None
    publisher = open_publisher(
        "aws-ssm", Secret(f"/app/{token_hex(4)}?region={REGION}&profile={worker.name}&endpoint={line.url}")
    )
    with pytest.raises(RotatorError) as caught:
        publisher.publish(publication)
    if lie.status in {0, 200, 503}:
        assert type(caught.value) is OutcomeUnknown
    assert publication.value.reveal() not in str(caught.value)


def test_a_redirect_is_not_followed(line: Line, somebody: None) -> None:
    with silent_server() as elsewhere:
        line.before = lambda _: Lie(307, b"", {"Location": elsewhere})
        assert "redirect" in failure(endpoint=line.url).message


def test_a_port_that_speaks_no_tls_is_told(line: Line, somebody: None) -> None:
    said = failure(endpoint=line.url.replace("http:", "https:"))
    assert type(said) is OperatorNeeded
    assert "TLS" in said.message


def test_a_certificate_that_nobody_vouches_for_is_refused(somebody: None, tmp_path: Path) -> None:
    with tls_server(tmp_path) as url:
        assert "TLS" in failure(endpoint=url).message


def test_a_server_that_is_not_there_can_be_tried_again(somebody: None) -> None:
    assert type(failure(endpoint="http://127.0.0.1:1")) is Unavailable


def test_a_server_that_does_not_answer_is_given_up(somebody: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_CONFIG", session._CONFIG.merge(Config(read_timeout=0.2)))
    with silent_server() as url:
        assert "did not answer" in failure(endpoint=url).message


def test_slow_answers_do_not_add_up(line: Line, worker: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LASTS_S", 0)
    said = failure(profile=worker.name, endpoint=line.url)
    assert type(said) is Unavailable
    assert "too slowly" in said.message
    assert line.heard == []


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Certificate and key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


@contextmanager
def tls_server(folder: Path) -> Iterator[str]:
    """With a certificate that it made itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*self_signed(folder))
    with socket.create_server(("127.0.0.1", 0)) as server:

        def shake_hands() -> None:
            connection, _ = server.accept()
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

        thread = threading.Thread(target=shake_hands)
        thread.start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
        thread.join(timeout=5)


# --- what nobody gets to read -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_no_log_shows_a_key_or_a_credential_at_any_level(
    kind: str, aws: Aws, worker: User, publication: Publication
) -> None:
    """botocore prints bodies and signed headers at DEBUG, and was set to that by somebody."""
    shown = io.StringIO()
    with logging_restored():
        configure_logging(Settings(log_level="debug"), shown)
        logging.getLogger("botocore").setLevel(logging.DEBUG)
        logging.getLogger("moto").setLevel(logging.WARNING)  # the server is in this process, and shows what it gets
        name = f"app/{token_hex(4)}"
        if kind == "aws-secrets-manager":
            aws.secrets.create_secret(Name=name)
        shown.truncate(0)
        target = f"{name}?region={REGION}&profile={worker.name}&endpoint={aws.url}"
        publisher = open_publisher(kind, Secret(target))
        publisher.publish(publication)
        publisher.read_back("NAME", publication.value)
        publisher.check("NAME")
        logging.getLogger("tests").debug("that loud")
    assert publication.value.reveal() not in shown.getvalue()
    assert worker.secret_key not in shown.getvalue()
    assert "Signature" not in shown.getvalue()
    assert "that loud" in shown.getvalue(), "the level is not the one that is meant"


@contextmanager
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in list(logging.root.manager.loggerDict)}
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(capture=False)
        for name, old in levels.items():
            logging.getLogger(name).setLevel(old)
