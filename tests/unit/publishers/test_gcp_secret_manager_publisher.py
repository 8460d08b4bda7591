"""The gcp-secret-manager publisher: its target, its credentials, its races, and how it tells what went wrong."""

from __future__ import annotations

import inspect
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from urllib.parse import parse_qs

import pytest
from google.api_core import exceptions as api
from google.auth import exceptions as auth
from google.auth.compute_engine import _metadata

from config.secret import Secret
from tasks.publishers import StoredPublisher, open_publisher
from tasks.publishers._places.cloud import bounded
from tasks.publishers._places.cloud.bounded import Bounded
from tasks.publishers._places.cloud.crc32c import crc32c
from tasks.publishers._places.cloud.faults import STOPPED
from tasks.publishers._places.cloud.gcp_faults import FAULTS, PERMISSIONS, asked, translated
from tasks.rotation.errors import (
    Broken,
    Conflict,
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
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication
from tests.contract.places._cloud import Answer, Asked, Cloud, running_cloud
from tests.contract.places._secret_manager import Secret as Stored
from tests.contract.places._secret_manager import SecretManager, ServiceAccount, Version, checksum

NAME = "projects/test-project/secrets/openrouter"
REGIONAL = "projects/test-project/locations/europe-west3/secrets/openrouter"
HOST = "secretmanager.googleapis.com"
Ask = Callable[[], object]
ACCOUNT = ServiceAccount()
PUBLICATION = Publication(
    rotation_id="r1", rotation_name="billing", secret_name="NAME", version=2, sequence=7, value=Secret(token_hex(16))
)


def opened(target: str) -> StoredPublisher:
    return open_publisher("gcp-secret-manager", Secret(target))


# --- the target --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [NAME, REGIONAL, "projects/123456789012/secrets/A_b-1", "projects/example.com:old-project/secrets/x"]
)
def test_the_label_is_the_resource_name_whatever_the_options(name: str) -> None:
    target = f"{name}?superseded=destroy&endpoint=private.p.googleapis.com"
    assert opened(name).label == opened(target).label == f"gcp-secret-manager:{name}"
    assert opened(target).target == Secret(target)
    assert not opened(name).holds_variables


@pytest.mark.parametrize(
    "target",
    [
        "hush",
        "projects/p/secrets/hush/",
        "projects/p/secrets/hush/versions/latest",
        "projects/p/secrets/hu sh",
        "projects/p/secrets/hush\n",
        f"projects/p/secrets/{'hush' * 64}",
        "projects//secrets/hush",
        "projects/p/locations//secrets/hush",
        "projects/p/secrets/x?hush",
        "projects/p/secrets/x?credentials_file=hush",
        "projects/p/secrets/x?superseded=hush",
        "projects/p/secrets/x?endpoint=hush.example",
        "projects/p/secrets/x?endpoint=hush.example/.googleapis.com",
        "projects/p/secrets/x?endpoint=hush@x.googleapis.com",
        "projects/p/secrets/x?endpoint=https://hush.googleapis.com",
        "projects/p/secrets/x?endpoint=hush.googleapis.com%0a",
        "projects/p/secrets/x?project=hush",
    ],
)
def test_a_bad_target_is_refused_without_repeating_it(target: str) -> None:
    with pytest.raises(InvalidInput, match="--publish") as refused:
        opened(target)
    assert "hush" not in str(refused.value)
    assert refused.value.__context__ is None


# --- a secret ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with running_cloud() as running:
        yield running


@dataclass
class Gcp:
    cloud: Cloud
    manager: SecretManager
    secret: Stored
    file: Path

    def opened(self, options: str = "", name: str = NAME) -> StoredPublisher:
        return opened(f"{name}?credentials_file={self.file}{options}")

    @property
    def states(self) -> list[str]:
        return [version.state for version in self.secret.versions]

    def once(self, wanted: str, happens: Callable[[], Answer] | Callable[[], None]) -> None:
        """At the first request whose method and path match, before it is answered."""

        def between(asked: Asked) -> Answer | None:
            if not re.search(wanted, f"{asked.method} {asked.host}{asked.path}"):
                return None
            self.cloud.between = lambda asked: None
            return happens()

        self.cloud.between = between

    def always(self, wanted: str, answer: Answer) -> None:
        """To every request that matches."""
        self.cloud.between = lambda asked: (
            answer if re.search(wanted, f"{asked.method} {asked.host}{asked.path}") else None
        )


@pytest.fixture
def gcp(cloud: Cloud, tmp_path: Path) -> Iterator[Gcp]:
    manager, secret, file = SecretManager(ACCOUNT.signed), Stored(), tmp_path / "account.json"
    manager.secrets[NAME] = secret
    file.write_text(ACCOUNT.file)
    cloud.asked.clear()
    with cloud.entered(HOST, manager):
        yield Gcp(cloud, manager, secret, file)
    cloud.between = lambda asked: None


def after(publication: Publication, steps: int) -> Publication:
    return replace(
        publication,
        version=publication.version + steps,
        sequence=publication.sequence + steps,
        value=Secret(f"{publication.value.reveal()}-{steps}"),
    )


def test_a_secret_that_does_not_exist_is_refused_with_the_command_that_creates_it(gcp: Gcp) -> None:
    del gcp.manager.secrets[NAME]
    asks: tuple[Ask, ...] = (lambda: gcp.opened().check("NAME"), lambda: gcp.opened().publish(PUBLICATION))
    for ask in asks:
        with pytest.raises(OperatorNeeded) as needed:
            ask()
        assert needed.value.remedy == (
            "gcloud secrets create openrouter --project=test-project --replication-policy=automatic"
        )
    assert gcp.opened().read_back("NAME", PUBLICATION.value) is Holding.NOTHING
    gcp.opened().withdraw(PUBLICATION)


def test_a_regional_secret_is_asked_of_its_region(gcp: Gcp) -> None:
    gcp.manager.secrets[REGIONAL] = Stored()
    with gcp.cloud.entered("secretmanager.europe-west3.rep.googleapis.com", gcp.manager):
        gcp.opened(name=REGIONAL).publish(PUBLICATION)
        assert gcp.opened(name=REGIONAL).read_back("NAME", PUBLICATION.value) is Holding.SAME
        del gcp.manager.secrets[REGIONAL]
        with pytest.raises(OperatorNeeded, match="--location=europe-west3"):
            gcp.opened(name=REGIONAL).check("NAME")
    assert {asked.host for asked in gcp.cloud.asked} == {"secretmanager.europe-west3.rep.googleapis.com"}


def test_another_host_of_google_may_serve_the_secret(gcp: Gcp) -> None:
    with gcp.cloud.entered("private.googleapis.com", gcp.manager):
        gcp.opened("&endpoint=private.googleapis.com").publish(PUBLICATION)
    assert {asked.host for asked in gcp.cloud.asked} == {"private.googleapis.com"}


@pytest.mark.parametrize(
    ("option", "state"),
    [("", "ENABLED"), ("&superseded=disable", "DISABLED"), ("&superseded=destroy", "DESTROYED")],
)
def test_what_is_older_than_the_predecessor_ends_as_was_asked(gcp: Gcp, option: str, state: str) -> None:
    gcp.secret.versions.append(Version("ENABLED", b"of somebody else"))
    for step in range(4):
        gcp.opened(option).publish(after(PUBLICATION, step))
    assert gcp.states == ["ENABLED", state, state, "ENABLED", "ENABLED"]


@pytest.mark.parametrize("lag", [1, 2])
def test_a_version_that_latest_does_not_show_yet_is_not_added_again(gcp: Gcp, lag: int) -> None:
    for step in range(2):
        gcp.opened("&superseded=destroy").publish(after(PUBLICATION, step))
    gcp.secret.lag = lag
    gcp.opened("&superseded=destroy").publish(replace(after(PUBLICATION, 1), sequence=99))
    assert gcp.states == ["ENABLED", "ENABLED"]


def test_an_undo_is_not_misled_by_what_latest_showed_before(gcp: Gcp) -> None:
    for step in range(2):
        gcp.opened().publish(after(PUBLICATION, step))
    gcp.secret.lag = 1
    gcp.opened().publish(replace(PUBLICATION, sequence=99))
    gcp.secret.lag = 0
    assert gcp.opened().read_back("NAME", PUBLICATION.value) is Holding.SAME


def test_putting_a_key_back_again_and_again_does_not_end_the_predecessor(gcp: Gcp) -> None:
    for step in range(2):
        gcp.opened("&superseded=destroy").publish(after(PUBLICATION, step))
    for sequence in range(99, 125):
        gcp.secret.versions.append(Version("ENABLED", b"of somebody else"))
        gcp.opened("&superseded=destroy").publish(replace(after(PUBLICATION, 1), sequence=sequence))
    assert set(gcp.states) == {"ENABLED"}
    gcp.opened("&superseded=destroy").publish(replace(after(PUBLICATION, 2), sequence=126))
    assert gcp.states[0] == "DESTROYED"


def test_nothing_is_ended_while_latest_does_not_show_the_newest(gcp: Gcp) -> None:
    for step in range(2):
        gcp.opened("&superseded=destroy").publish(after(PUBLICATION, step))
    gcp.secret.lag = 1
    gcp.opened("&superseded=destroy").publish(after(PUBLICATION, 2))
    assert gcp.states == ["ENABLED", "ENABLED", "ENABLED"]
    gcp.secret.lag = 0
    gcp.opened("&superseded=destroy").publish(after(PUBLICATION, 2))
    assert gcp.states == ["DESTROYED", "ENABLED", "ENABLED"]
    assert gcp.secret.annotations["openrouter-rotator.versions"] == "r1:2@3,3@4"


def test_what_was_destroyed_by_hand_does_not_stop_a_publication(gcp: Gcp) -> None:
    for step in range(2):
        gcp.opened("&superseded=destroy").publish(after(PUBLICATION, step))
    gcp.secret.versions[0].state = "DESTROYED"
    gcp.opened("&superseded=destroy").publish(after(PUBLICATION, 2))
    assert gcp.states == ["DESTROYED", "ENABLED", "ENABLED"]


def test_a_rotation_that_takes_over_ends_no_version_of_the_one_before(gcp: Gcp) -> None:
    for step in range(4):
        publication = replace(after(PUBLICATION, step), rotation_id=f"r{step % 2}")
        gcp.opened("&superseded=destroy").publish(publication)
        if step < 3:
            del gcp.secret.annotations["openrouter-rotator"]  # as the refusal says
    gcp.opened().withdraw(replace(publication, sequence=99))
    assert gcp.states == ["ENABLED", "ENABLED", "ENABLED", "DESTROYED"]


def test_a_version_that_somebody_added_by_hand_is_not_withdrawn(gcp: Gcp) -> None:
    for step in range(2):
        gcp.opened().publish(after(PUBLICATION, step))
    gcp.secret.versions.append(Version("ENABLED", b"by hand"))
    gcp.opened().withdraw(after(PUBLICATION, 2))
    assert gcp.states == ["DESTROYED", "DESTROYED", "ENABLED"]
    assert gcp.secret.annotations == {"team": "billing"}


def test_a_newer_publication_is_not_withdrawn(gcp: Gcp) -> None:
    gcp.opened().publish(after(PUBLICATION, 1))
    gcp.opened().withdraw(PUBLICATION)
    assert gcp.states == ["ENABLED"]


def test_a_withdrawal_that_broke_off_is_finished(gcp: Gcp) -> None:
    gcp.opened().publish(PUBLICATION)
    gcp.once("PATCH", lambda: Answer(dropped=True))
    with pytest.raises(OutcomeUnknown):
        gcp.opened().withdraw(PUBLICATION)
    assert (gcp.states, len(gcp.secret.annotations)) == (["DESTROYED"], 3)
    gcp.opened().withdraw(PUBLICATION)
    assert gcp.secret.annotations == {"team": "billing"}


def test_a_publication_that_broke_off_before_its_version_was_noted_is_finished(gcp: Gcp) -> None:
    def the_next_answer_is_lost() -> None:
        gcp.once("PATCH", lambda: Answer(dropped=True))

    gcp.once(":addVersion", the_next_answer_is_lost)
    with pytest.raises(OutcomeUnknown):
        gcp.opened().publish(PUBLICATION)
    gcp.opened().publish(PUBLICATION)
    assert gcp.secret.annotations["openrouter-rotator.versions"] == "r1:1@2"
    assert gcp.states == ["ENABLED"]


@pytest.mark.parametrize("state", ["DISABLED", "DESTROYED"])
def test_a_newest_version_that_cannot_be_read_holds_nothing(gcp: Gcp, state: str) -> None:
    gcp.secret.versions += [Version("ENABLED", PUBLICATION.value.reveal().encode()), Version(state, b"")]
    assert gcp.opened().read_back("NAME", PUBLICATION.value) is Holding.NOTHING
    gcp.opened().publish(PUBLICATION)
    assert gcp.states == ["ENABLED", state, "ENABLED"]


def test_a_version_that_is_enabled_and_cannot_be_read_is_an_error(gcp: Gcp) -> None:
    """Such as one whose key in Cloud KMS is disabled."""
    gcp.opened().publish(PUBLICATION)
    gcp.always(":access", Answer(400, {"error": {"status": "FAILED_PRECONDITION", "message": "KMS"}}))
    with pytest.raises(Conflict):
        gcp.opened().read_back("NAME", PUBLICATION.value)


def test_a_value_that_is_no_text_is_another_one(gcp: Gcp) -> None:
    gcp.secret.versions.append(Version("ENABLED", b"\xff\x00"))
    assert gcp.opened().read_back("NAME", PUBLICATION.value) is Holding.OTHER
    gcp.secret.versions.append(Version("ENABLED", b""))
    assert gcp.opened().read_back("NAME", PUBLICATION.value) is Holding.NOTHING


def test_notes_that_somebody_else_wrote_are_replaced(gcp: Gcp) -> None:
    gcp.secret.annotations |= {"openrouter-rotator": "hello", "openrouter-rotator.versions": "r1:1@1,x"}
    gcp.opened("&superseded=destroy").publish(PUBLICATION)
    assert json.loads(gcp.secret.annotations["openrouter-rotator"])["sequence"] == 7
    assert gcp.secret.annotations["openrouter-rotator.versions"] == "r1:1@2"


@pytest.mark.parametrize("lacking", PERMISSIONS)
def test_a_lacking_permission_is_found_by_check_and_named(gcp: Gcp, lacking: str) -> None:
    gcp.manager.granted.remove(lacking)
    with pytest.raises(OperatorNeeded) as refused:
        gcp.opened().check("NAME")
    assert lacking in str(refused.value)


def test_ending_versions_needs_one_more_permission(gcp: Gcp) -> None:
    gcp.manager.granted -= {"secretmanager.versions.destroy", "secretmanager.versions.disable"}
    gcp.opened().check("NAME")
    for how in ("destroy", "disable"):
        with pytest.raises(OperatorNeeded, match=rf"secretmanager\.versions\.{how}"):
            gcp.opened(f"&superseded={how}").check("NAME")


# --- at the same moment ------------------------------------------------------------------------------------------


def test_what_others_write_at_the_same_moment_stays(gcp: Gcp) -> None:
    def somebody_annotates() -> None:
        gcp.secret.annotations["cost-center"] = "7"
        gcp.secret.etag = '"100"'

    gcp.once("PATCH", somebody_annotates)
    gcp.opened().publish(PUBLICATION)
    assert gcp.secret.annotations["cost-center"] == "7"
    assert gcp.secret.annotations["team"] == "billing"
    assert gcp.opened().read_back("NAME", PUBLICATION.value) is Holding.SAME


def test_a_newer_publication_at_the_same_moment_wins(gcp: Gcp) -> None:
    newer = after(PUBLICATION, 1)

    def somebody_publishes() -> None:
        gcp.opened().publish(newer)

    gcp.once("PATCH", somebody_publishes)
    with pytest.raises(Conflict, match="newer"):
        gcp.opened().publish(PUBLICATION)
    assert gcp.opened().read_back("NAME", newer.value) is Holding.SAME
    assert gcp.states == ["ENABLED"]


def test_a_secret_that_changes_all_the_time_is_tried_later(gcp: Gcp) -> None:
    gcp.always("PATCH", Answer(400, {"error": {"status": "FAILED_PRECONDITION"}}))
    with pytest.raises(TryAgain, match="someone else"):
        gcp.opened().publish(PUBLICATION)
    assert not gcp.secret.versions


def test_the_remedy_for_a_restored_database_works(gcp: Gcp) -> None:
    gcp.opened().publish(PUBLICATION)
    older = replace(PUBLICATION, sequence=1)
    with pytest.raises(Conflict, match="remove the secret's annotation openrouter-rotator"):
        gcp.opened().publish(older)
    del gcp.secret.annotations["openrouter-rotator"]
    gcp.opened().publish(older)


# --- checksums ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"123456789", bytes(range(256)), PUBLICATION.value.reveal().encode()])
def test_the_checksum_is_castagnolis(data: bytes) -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of the catalogue of CRCs
    assert crc32c(data) == checksum(data)


def test_a_value_that_was_damaged_on_its_way_to_us_is_not_compared(gcp: Gcp) -> None:
    damaged = {"name": f"{NAME}/versions/1", "payload": {"data": "AAAA", "dataCrc32c": "1"}}
    unchecked = {"name": f"{NAME}/versions/1", "payload": {"data": "AAAA"}}
    for answer in (damaged, unchecked):
        gcp.always(":access", Answer(200, answer))
        with pytest.raises(TryAgain, match="damaged"):
            gcp.opened().read_back("NAME", PUBLICATION.value)


def test_a_value_is_sent_with_its_checksum_which_must_have_arrived(gcp: Gcp) -> None:
    gcp.opened().publish(PUBLICATION)
    (added,) = (asked.json() for asked in gcp.cloud.asked if asked.path.endswith(":addVersion"))
    assert added["payload"]["dataCrc32c"] == str(checksum(PUBLICATION.value.reveal().encode()))  # type: ignore[index]  # what JSON holds
    gcp.always(":addVersion", Answer(200, {"name": f"{NAME}/versions/2"}))
    with pytest.raises(OutcomeUnknown, match="undamaged"):
        gcp.opened().publish(after(PUBLICATION, 1))


# --- credentials -------------------------------------------------------------------------------------------------

CHAIN = ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "GAE_RUNTIME", "APPENGINE_RUNTIME")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine without credentials."""
    for name in CHAIN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    return monkeypatch


def test_credentials_are_found_as_google_finds_them(gcp: Gcp, bare: pytest.MonkeyPatch) -> None:
    bare.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(gcp.file))
    opened(NAME).publish(PUBLICATION)
    assert opened(NAME).read_back("NAME", PUBLICATION.value) is Holding.SAME
    assert {asked.host for asked in gcp.cloud.asked} == {HOST}


def test_a_machine_of_google_asks_its_metadata_service(gcp: Gcp, bare: pytest.MonkeyPatch) -> None:
    token = token_hex(8)
    gcp.manager.accepts = lambda bearer: bearer == token

    def metadata(asked: Asked) -> Answer:
        assert asked.headers["metadata-flavor"] == "Google"
        google, plain = {"Metadata-Flavor": "Google"}, {"Content-Type": "text/plain"}
        if asked.path.endswith("/token"):
            return Answer(200, {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}, google)
        if asked.path.endswith("/project-id"):
            return Answer(200, b"test-project", google | plain)
        return Answer(200, {"email": "x@y", "scopes": [], "aliases": []}, google)

    with gcp.cloud.entered("169.254.169.254", metadata), gcp.cloud.entered("metadata.google.internal", metadata):
        opened(NAME).publish(PUBLICATION)
    assert gcp.states == ["ENABLED"]


@pytest.mark.parametrize("silence", [Answer(dropped=True), Answer(404), Answer(503)])
def test_no_credentials_are_told_after_one_look_for_a_metadata_service(
    gcp: Gcp, bare: pytest.MonkeyPatch, silence: Answer
) -> None:
    assert not _metadata._NO_GCE_CHECK
    with gcp.cloud.entered("169.254.169.254", lambda asked: silence), pytest.raises(RotatorError) as found:
        opened(NAME).publish(PUBLICATION)
    assert "GOOGLE_APPLICATION_CREDENTIALS" in found.value.remedy
    assert isinstance(found.value, OperatorNeeded | Unavailable)
    assert len(gcp.cloud.asked) == 1


def test_a_metadata_service_that_fails_later_is_not_asked_again(gcp: Gcp, bare: pytest.MonkeyPatch) -> None:
    def failing(asked: Asked) -> Answer:
        return Answer(200 if asked.path in {"", "/"} else 503, headers={"Metadata-Flavor": "Google"})

    bare.setattr("google.auth._exponential_backoff.time.sleep", lambda seconds: None)
    with (
        gcp.cloud.entered("169.254.169.254", failing),
        gcp.cloud.entered("metadata.google.internal", failing),
        pytest.raises(TryAgain),
    ):
        opened(NAME).publish(PUBLICATION)
    assert len(gcp.cloud.asked) == 2


PERSON = {"type": "authorized_user", "client_id": "c", "client_secret": "hush", "refresh_token": "hush"}


def test_a_program_that_google_asks_and_that_hangs_is_not_waited_for(
    gcp: Gcp, bare: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Such as gcloud."""
    ends = threading.Event()
    bare.setattr("google.auth.default", lambda **_: ends.wait(20))
    bare.setattr("tasks.publishers._places.cloud.gcp.LOGIN_S", 0.1)
    try:
        for problem in ("logging in took longer", "an earlier attempt"):
            with pytest.raises(Unavailable, match=problem):
                opened(NAME).check("NAME")
    finally:
        ends.set()
        for thread in threading.enumerate():
            if thread.name == "login":
                thread.join(20)


def test_a_persons_credentials_are_renewed(gcp: Gcp) -> None:
    token = token_hex(8)
    gcp.manager.accepts = lambda bearer: bearer == token
    gcp.file.write_text(json.dumps(PERSON))

    def renewing(asked: Asked) -> Answer:
        assert parse_qs(asked.body.decode())["refresh_token"] == ["hush"]
        return Answer(200, {"access_token": token, "expires_in": 3600})

    with gcp.cloud.entered("oauth2.googleapis.com", renewing):
        gcp.opened().publish(PUBLICATION)
    assert gcp.states == ["ENABLED"]


@pytest.mark.parametrize(
    ("answer", "family"),
    [
        (Answer(400, {"error": "invalid_grant", "error_description": "hush"}), CredentialRejected),
        (Answer(503, {"error": "unavailable"}), TryAgain),
        (Answer(dropped=True), TryAgain),
        (Answer(200, b"hush"), RotatorError),
        (Answer(200, {"hush": 1}), CredentialRejected),
    ],
)
def test_credentials_that_were_refused_are_told_from_an_outage(
    gcp: Gcp, answer: Answer, family: type[RotatorError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("google.auth._exponential_backoff.time.sleep", lambda seconds: None)
    gcp.file.write_text(json.dumps(PERSON))
    with gcp.cloud.entered("oauth2.googleapis.com", lambda asked: answer), pytest.raises(family) as told:
        gcp.opened().publish(PUBLICATION)
    assert "hush" not in str(told.value)
    assert len(gcp.cloud.asked) == 1


@pytest.mark.parametrize(
    "content",
    [
        "hush",
        "[]",
        '"hush"',
        '{"type": "hush"}',
        '{"type": ["hush"]}',
        '{"type": "service_account", "private_key": "hush", "client_email": "x", "token_uri": "x"}',
        '{"type": "service_account", "private_key": "hush"}',
        '{"type": "authorized_user", "client_id": "hush"}',
        '{"type": "external_account", "credential_source": {"executable": {"command": "touch /hush"}}}',
        "[" * 100_000,
    ],
)
def test_a_credentials_file_that_is_none_is_told_without_its_content(gcp: Gcp, content: str) -> None:
    gcp.file.write_text(content)
    with pytest.raises(OperatorNeeded) as told:
        gcp.opened().publish(PUBLICATION)
    assert "hush" not in str(told.value)
    assert told.value.__context__ is None
    assert not gcp.cloud.asked


def test_the_credentials_file_is_read_for_each_call(gcp: Gcp) -> None:
    publisher = gcp.opened()
    publisher.publish(PUBLICATION)
    gcp.file.write_text(ServiceAccount().file)
    with pytest.raises(CredentialRejected):
        publisher.read_back("NAME", PUBLICATION.value)
    gcp.file.unlink()
    with pytest.raises(OperatorNeeded, match="cannot be read"):
        publisher.read_back("NAME", PUBLICATION.value)


# --- when it fails -----------------------------------------------------------------------------------------------


def test_every_exception_of_the_libraries_has_its_family() -> None:
    raised = {
        kind
        for module in (api, auth)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__ == module.__name__
    }
    assert raised == set(FAULTS)


@pytest.mark.parametrize("kind", sorted({*FAULTS, *STOPPED}, key=str))
@pytest.mark.parametrize("changes", [True, False])
def test_no_foreign_error_is_repeated_or_chained(kind: type[Exception], changes: bool) -> None:
    error = kind.__new__(kind)
    error.args = ("canary",)
    for name in ("_error_info", "_errors", "_response", "response"):
        if not isinstance(getattr(kind, name, None), property):
            setattr(error, name, None)

    def fail() -> None:
        raise error

    with pytest.raises(RotatorError) as caught:
        asked(fail, "gcp:here", Bounded(), changes=changes)
    assert str(caught.value).startswith("gcp:here: ")
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("status", "reading", "writing"),
    [
        (400, Refused, Refused),
        (401, CredentialRejected, CredentialRejected),
        (403, OperatorNeeded, OperatorNeeded),
        (409, Conflict, Conflict),
        (418, Unavailable, OutcomeUnknown),
        (429, RateLimited, RateLimited),
        (499, Unavailable, OutcomeUnknown),
        (500, Unavailable, OutcomeUnknown),
        (501, OperatorNeeded, OperatorNeeded),
        (503, Unavailable, OutcomeUnknown),
        (504, Unavailable, OutcomeUnknown),
    ],
)
def test_what_a_status_means(gcp: Gcp, status: int, reading: type[RotatorError], writing: type[RotatorError]) -> None:
    gcp.secret.versions.append(Version("ENABLED", b"old"))
    gcp.always(":access", Answer(status, {"error": {"code": status, "message": "canary"}}))
    with pytest.raises(reading) as failed:
        gcp.opened().read_back("NAME", PUBLICATION.value)
    assert "canary" not in str(failed.value)
    gcp.always(":addVersion", Answer(status, {"error": {"code": status, "message": "canary"}}))
    with pytest.raises(writing) as failed:
        gcp.opened().publish(PUBLICATION)
    assert "canary" not in str(failed.value)


def test_a_quota_is_waited_for_as_long_as_google_says(gcp: Gcp) -> None:
    gcp.always(":addVersion", Answer(429, {"error": {"code": 429}}, {"Retry-After": "30"}))
    with pytest.raises(RateLimited) as limited:
        gcp.opened().publish(PUBLICATION)
    assert limited.value.retry_after is not None
    assert limited.value.retry_after.total_seconds() == 30


def test_a_project_without_the_service_is_told_how_to_get_it(gcp: Gcp) -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}
    gcp.always("GET", Answer(403, {"error": {"code": 403, "status": "PERMISSION_DENIED", "details": [detail]}}))
    with pytest.raises(OperatorNeeded, match="gcloud services enable"):
        gcp.opened().check("NAME")


def test_an_answer_lost_after_the_value_was_sent_leaves_the_outcome_unknown(gcp: Gcp) -> None:
    def adding_silently() -> Answer:
        gcp.secret.versions.append(Version("ENABLED", PUBLICATION.value.reveal().encode()))
        return Answer(dropped=True)

    gcp.once(":addVersion", adding_silently)
    with pytest.raises(OutcomeUnknown, match="safe"):
        gcp.opened().publish(PUBLICATION)
    gcp.opened().publish(PUBLICATION)
    assert gcp.states == ["ENABLED"]


def test_an_answer_lost_before_anything_was_sent_can_be_tried_again(gcp: Gcp) -> None:
    gcp.always("GET", Answer(dropped=True))
    asks: tuple[Ask, ...] = (
        lambda: gcp.opened().check("NAME"),
        lambda: gcp.opened().publish(PUBLICATION),
        lambda: gcp.opened().read_back("NAME", PUBLICATION.value),
        lambda: gcp.opened().withdraw(PUBLICATION),
    )
    for ask in asks:
        with pytest.raises(Unavailable):
            ask()
    assert not gcp.secret.versions


HOSTILE = [
    Answer(200, b""),
    Answer(200, b"\xff\xfe"),
    Answer(200, b"<html>"),
    Answer(200, b"[" * 200_000),
    Answer(200, [1]),
    Answer(200, "text"),
    Answer(200, {"payload": {"data": "?", "dataCrc32c": "x"}}),
    Answer(200, {"payload": {"data": 7}}),
    Answer(200, {"name": {"a": 1}}),
    Answer(200, b"x" * (2 * bounded.LARGEST)),
    Answer(302, b"", {"Location": "https://evil.googleapis.com/"}),
    Answer(304, b""),
    Answer(400, b'"text"'),
    Answer(400, {"error": "text"}),
    Answer(400, {"error": {"details": 7}}),
    Answer(500, [[1]]),
    Answer(999, b"x"),
]


@pytest.mark.parametrize("answer", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_is_answered_is_one_of_our_errors(gcp: Gcp, answer: Answer) -> None:
    gcp.opened().publish(PUBLICATION)
    following = after(PUBLICATION, 1)
    gcp.always(":", answer)
    asks: tuple[Ask, ...] = (
        lambda: gcp.opened().check("NAME"),
        lambda: gcp.opened().publish(following),
        lambda: gcp.opened().read_back("NAME", PUBLICATION.value),
    )
    for ask in asks:
        with pytest.raises(RotatorError) as told:
            ask()
        assert told.value.__context__ is None
    gcp.always(":addVersion", answer)
    with pytest.raises(RotatorError):
        gcp.opened().publish(following)
    assert all(asked.host == HOST for asked in gcp.cloud.asked)


def test_an_answer_that_is_none_is_no_proof_that_nothing_happened(gcp: Gcp) -> None:
    gcp.always(":addVersion", Answer(200, b"<html>"))
    with pytest.raises(OutcomeUnknown):
        gcp.opened().publish(PUBLICATION)
    gcp.always(":access", Answer(200, b"<html>"))
    with pytest.raises(Broken, match="understood"):
        gcp.opened().publish(PUBLICATION)


def test_a_certificate_that_nobody_vouches_for_is_not_accepted(gcp: Gcp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(OperatorNeeded, match="REQUESTS_CA_BUNDLE"):
        gcp.opened().publish(PUBLICATION)
    assert not gcp.cloud.asked


def test_a_login_that_fails_because_of_an_outage_is_no_rejection() -> None:
    error = auth.RefreshError("canary")  # type: ignore[no-untyped-call]  # google-auth has few types
    assert type(translated(error, "gcp:here", changes=True)) is CredentialRejected
    assert type(translated(error, "gcp:here", changes=True, outage=True)) is Unavailable


@pytest.fixture
def talkative(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that Google's clients would say if each of their loggers were asked for all."""
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in {"google", "urllib3"}]
    levels = {name: logging.getLogger(name).level for name in names}
    top = logging.getLogger("google")
    top.addHandler(caplog.handler)
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        yield caplog
    top.removeHandler(caplog.handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_neither_value_nor_token_is_logged(gcp: Gcp, talkative: pytest.LogCaptureFixture) -> None:
    tokens: list[str] = []
    gcp.manager.accepts = lambda bearer: tokens.append(bearer) or True  # type: ignore[func-returns-value]  # notes it
    gcp.opened().publish(PUBLICATION)
    gcp.opened().read_back("NAME", PUBLICATION.value)
    (added,) = (asked.json() for asked in gcp.cloud.asked if asked.path.endswith(":addVersion"))
    said = "\n".join(f"{record.getMessage()} {vars(record)}" for record in talkative.records)
    assert "urllib3" in said
    for secret in (PUBLICATION.value.reveal(), added["payload"]["data"], tokens[0]):  # type: ignore[index]  # what JSON holds
        assert secret not in said
