"""The azure-key-vault publisher: its target, its credentials, its races, and how it tells what went wrong."""

from __future__ import annotations

import inspect
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex

import azure.core.exceptions as core
import pytest
from azure import identity

from config.secret import Secret
from tasks.publishers import StoredPublisher, open_publisher
from tasks.publishers._places.cloud import bounded
from tasks.publishers._places.cloud.azure import Login, _credential
from tasks.publishers._places.cloud.azure_faults import FAULTS, asked, translated
from tasks.publishers._places.cloud.bounded import Bounded
from tasks.publishers._places.cloud.faults import STOPPED
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
from tests.contract.places._key_vault import Entra, KeyVault, Version

Ask = Callable[[], object]
HOST = "my-vault.vault.azure.net"
URL = f"https://{HOST}/openrouter"
ID = "00000000-0000-0000-0000-000000000000"
PUBLICATION = Publication(
    rotation_id="r1", rotation_name="billing", secret_name="NAME", version=2, sequence=7, value=Secret(token_hex(16))
)


def opened(target: str) -> StoredPublisher:
    return open_publisher("azure-key-vault", Secret(target))


# --- the target --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "place"),
    [
        (URL, URL),
        (f"https://My-Vault.Vault.Azure.Net/OpenRouter?client_id={ID}", URL),
        (f"https://{HOST}/secrets/openrouter", URL),
        (f"https://{HOST}/secrets", f"https://{HOST}/secrets"),
        ("https://v-1.vault.azure.cn/a-1", "https://v-1.vault.azure.cn/a-1"),
        ("https://abc.vault.usgovcloudapi.net/x", "https://abc.vault.usgovcloudapi.net/x"),
        ("https://abc.vault.microsoftazure.de/x", "https://abc.vault.microsoftazure.de/x"),
    ],
)
def test_one_place_has_one_label(target: str, place: str) -> None:
    assert opened(target).label == f"azure-key-vault:{place}"
    assert opened(target).target == Secret(target)
    assert not opened(target).holds_variables


@pytest.mark.parametrize(
    "target",
    [
        "hush",
        "http://hush.vault.azure.net/x",
        "https://hush.vault.azure.net",
        "https://hush.vault.azure.net/",
        "https://hush.vault.azure.net/a_b",
        "https://hush.vault.azure.net/a.b",
        "https://hush.vault.azure.net/secrets/x/0123456789abcdef0123456789abcdef",
        f"https://hush.vault.azure.net/{'x' * 128}",
        "https://hush.vault.azure.net:444/x",
        "https://user:hush@v-1.vault.azure.net/x",
        "https://hush.example.com/x",
        "https://hush.vault.net/x",
        "https://hush.vault.example.com/x",
        "https://hush.vault.azure.net.example.com/x",
        "https://127.0.0.1/hush",
        "https://hush.vault.azure.net/x#y",
        "https://hush.vault.azure.net/x\n",
        "https://hush.vault.azure.net/é",
        f"{URL}?hush",
        f"{URL}?tenant_id=hu%20sh",
        f"{URL}?client_id=hush",
        f"{URL}?vault=hush",
        f"{URL}?client_secret_file=hush",
        f"{URL}?client_secret_env=ROTATOR_HUSH",
        f"{URL}?client_secret_file=/hush",
        f"{URL}?client_secret_env=HUSH&tenant_id=t",
        f"{URL}?client_secret_env=HUSH&client_secret_file=/hush&tenant_id=t&client_id={ID}",
    ],
)
def test_a_bad_target_is_refused_without_repeating_it(target: str) -> None:
    with pytest.raises(InvalidInput, match="--publish") as refused:
        opened(target)
    assert "hush" not in str(refused.value).lower()
    assert refused.value.__context__ is None


# --- a secret ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with running_cloud() as running:
        yield running


@dataclass
class Azure:
    cloud: Cloud
    vault: KeyVault
    file: Path

    @property
    def versions(self) -> list[Version]:
        return self.vault.secrets.setdefault("openrouter", [])

    @property
    def login(self) -> str:
        entra = self.vault.entra
        return f"tenant_id={entra.tenant}&client_id={entra.client}"

    def opened(self) -> StoredPublisher:
        return opened(f"https://{self.vault.host}/openrouter?{self.login}&client_secret_file={self.file}")

    def once(self, wanted: str, happens: Callable[[], Answer] | Callable[[], None]) -> None:
        """At the first request with a token whose method and path match, before it is answered."""

        def between(asked: Asked) -> Answer | None:
            if not _is(asked, wanted):
                return None
            self.cloud.between = lambda asked: None
            return happens()

        self.cloud.between = between

    def always(self, wanted: str, answer: Answer) -> None:
        """To every request with a token that matches."""
        self.cloud.between = lambda asked: answer if _is(asked, wanted) else None


def _is(asked: Asked, wanted: str) -> bool:
    return "authorization" in asked.headers and bool(re.search(wanted, f"{asked.method} {asked.path}"))


@pytest.fixture
def azure(cloud: Cloud, tmp_path: Path) -> Iterator[Azure]:
    entra, file = Entra(), tmp_path / "client_secret"
    vault = KeyVault(f"test-{token_hex(4)}.vault.azure.net", entra)  # a name of its own: clients remember challenges
    file.write_text(f"{entra.secret}\n")
    cloud.asked.clear()
    with cloud.entered(vault.host, vault), cloud.entered(entra.host, entra):
        yield Azure(cloud, vault, file)
    cloud.between = lambda asked: None


def after(publication: Publication, steps: int) -> Publication:
    return replace(
        publication,
        version=publication.version + steps,
        sequence=publication.sequence + steps,
        value=Secret(f"{publication.value.reveal()}-{steps}"),
    )


def test_value_and_stamp_arrive_together_and_what_else_was_there_stays(azure: Azure) -> None:
    azure.versions.append(Version("old", {"team": "billing"}, content_type="text/plain"))
    azure.opened().publish(PUBLICATION)
    old, new = azure.versions
    assert (old.value, old.tags) == ("old", {"team": "billing"})
    assert (new.tags["team"], new.content_type) == ("billing", "text/plain")
    stamp = json.loads(new.tags["openrouter-rotator"])
    assert stamp == {"rotation": "billing", "version": 2, "sequence": 7, "id": "r1"}


def test_a_stamp_is_short_enough_for_a_tag() -> None:
    longest = replace(PUBLICATION, rotation_id="0" * 36, rotation_name="x" * 64, version=10**9, sequence=10**18)
    from tasks.publishers._shared.stamp import stamp_of

    assert len(stamp_of(longest).text) <= 256


def test_a_newer_lease_on_the_same_value_makes_no_version(azure: Azure) -> None:
    azure.opened().publish(PUBLICATION)
    azure.opened().publish(replace(PUBLICATION, sequence=8))
    (only,) = azure.versions
    assert json.loads(only.tags["openrouter-rotator"])["sequence"] == 8


def test_a_secret_without_room_for_a_tag_is_left_alone(azure: Azure) -> None:
    azure.versions.append(Version("old", {f"t{n}": "x" for n in range(15)}))
    with pytest.raises(Refused, match="15 tags"):
        azure.opened().publish(PUBLICATION)
    assert len(azure.versions) == 1


def test_a_certificates_secret_is_left_alone(azure: Azure) -> None:
    azure.versions.append(Version("pem", {}))
    azure.vault.managed.add("openrouter")
    asks: tuple[Ask, ...] = (lambda: azure.opened().check("NAME"), lambda: azure.opened().publish(PUBLICATION))
    for ask in asks:
        with pytest.raises(Conflict, match="certificate"):
            ask()
    assert len(azure.versions) == 1


def test_a_deleted_secret_is_told_how_to_recover_it(azure: Azure) -> None:
    azure.vault.deleted.add("openrouter")
    asks: tuple[Ask, ...] = (lambda: azure.opened().check("NAME"), lambda: azure.opened().publish(PUBLICATION))
    for ask in asks:
        with pytest.raises(OperatorNeeded) as needed:
            ask()
        assert f"az keyvault secret recover --id https://{azure.vault.host}/deletedsecrets/openrouter" in str(
            needed.value
        )
    assert azure.opened().read_back("NAME", PUBLICATION.value) is Holding.NOTHING
    azure.opened().withdraw(PUBLICATION)


def test_who_may_not_look_for_deleted_secrets_may_publish(azure: Azure) -> None:
    azure.vault.granted.remove("deleted")
    azure.opened().check("NAME")


@pytest.mark.parametrize("inner", ["ObjectIsBeingDeleted", "ObjectIsBeingRecovered", ""])
def test_a_secret_at_which_something_else_is_done_is_tried_later(azure: Azure, inner: str) -> None:
    azure.always("PUT", Answer(409, {"error": {"code": "Conflict", "message": "x", "innererror": {"code": inner}}}))
    with pytest.raises(TryAgain):
        azure.opened().publish(PUBLICATION)


def test_a_disabled_version_holds_nothing_and_is_followed_by_another(azure: Azure) -> None:
    azure.versions.append(Version(PUBLICATION.value.reveal(), {}, enabled=False))
    azure.opened().check("NAME")
    assert azure.opened().read_back("NAME", PUBLICATION.value) is Holding.NOTHING
    azure.opened().publish(PUBLICATION)
    assert [version.enabled for version in azure.versions] == [False, True]


def test_a_withdrawal_disables_our_version_and_no_other(azure: Azure) -> None:
    azure.versions.append(Version("of somebody else", {"team": "billing"}))
    azure.opened().publish(PUBLICATION)
    azure.opened().withdraw(after(PUBLICATION, 1))
    assert [(v.enabled, v.tags) for v in azure.versions] == [(True, {"team": "billing"}), (False, {"team": "billing"})]


def test_what_is_newer_or_was_set_by_hand_is_not_withdrawn(azure: Azure) -> None:
    azure.opened().publish(after(PUBLICATION, 1))
    azure.opened().withdraw(PUBLICATION)
    azure.versions.append(Version("by hand", {"openrouter-rotator": "hello"}))
    azure.opened().withdraw(after(PUBLICATION, 2))
    assert all(version.enabled for version in azure.versions)


@pytest.mark.parametrize("lacking", ["get", "update"])
def test_a_lacking_right_is_found_by_check(azure: Azure, lacking: str) -> None:
    azure.vault.granted.remove(lacking)
    with pytest.raises(OperatorNeeded, match="Key Vault Secrets Officer"):
        azure.opened().check("NAME")
    assert not azure.versions


def test_a_right_that_cannot_be_asked_for_is_missed_when_publishing(azure: Azure) -> None:
    azure.vault.granted.remove("set")
    azure.opened().check("NAME")
    with pytest.raises(OperatorNeeded, match="Key Vault Secrets Officer"):
        azure.opened().publish(PUBLICATION)


@pytest.mark.parametrize("inner", ["ForbiddenByFirewall", "ForbiddenByConnection"])
def test_a_firewall_is_told_from_a_lacking_right(azure: Azure, inner: str) -> None:
    azure.always("GET", Answer(403, {"error": {"code": "Forbidden", "message": "x", "innererror": {"code": inner}}}))
    with pytest.raises(OperatorNeeded, match="firewall"):
        azure.opened().read_back("NAME", PUBLICATION.value)


# --- at the same moment ------------------------------------------------------------------------------------------


def test_a_newer_publication_that_follows_at_once_is_seen(azure: Azure) -> None:
    newer = after(PUBLICATION, 1)
    told = json.dumps({"rotation": "billing", "version": 3, "sequence": 8, "id": "r1"})

    def somebody_publishes() -> None:
        azure.versions.append(Version(newer.value.reveal(), {"openrouter-rotator": told}))

    azure.once("PUT", lambda: azure.once("GET", somebody_publishes))
    with pytest.raises(Conflict, match="newer"):
        azure.opened().publish(PUBLICATION)
    assert azure.versions[-1].value == newer.value.reveal()


def test_another_value_that_follows_at_once_is_seen(azure: Azure) -> None:
    def somebody_writes() -> None:
        azure.versions.append(Version("by hand", {}))

    azure.once("PUT", lambda: azure.once("GET", somebody_writes))
    with pytest.raises(TryAgain, match="same moment"):
        azure.opened().publish(PUBLICATION)


def test_the_remedy_for_a_restored_database_works(azure: Azure) -> None:
    azure.opened().publish(PUBLICATION)
    older = replace(PUBLICATION, sequence=1)
    with pytest.raises(Conflict, match="remove the tag openrouter-rotator"):
        azure.opened().publish(older)
    del azure.versions[-1].tags["openrouter-rotator"]
    azure.opened().publish(older)


# --- credentials -------------------------------------------------------------------------------------------------


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine without credentials, and without az."""
    from azure.identity._constants import EnvironmentVariables

    for name in vars(EnvironmentVariables).values():
        if isinstance(name, str):
            monkeypatch.delenv(name, raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return monkeypatch


def test_the_token_is_for_key_vault_and_goes_nowhere_else(azure: Azure) -> None:
    azure.opened().publish(PUBLICATION)
    assert set(azure.vault.entra.scopes) == {"https://vault.azure.net/.default"}
    assert {asked.host for asked in azure.cloud.asked} == {azure.vault.host, azure.vault.entra.host}
    assert all(
        "authorization" not in asked.headers for asked in azure.cloud.asked if asked.host == azure.vault.entra.host
    )


def test_the_value_is_sent_to_nobody_who_has_not_asked_for_a_token(azure: Azure) -> None:
    azure.opened().publish(PUBLICATION)
    value = PUBLICATION.value.reveal().encode()
    assert any(value in request.body for request in azure.cloud.asked)
    assert all("authorization" in request.headers for request in azure.cloud.asked if value in request.body)


@pytest.mark.parametrize("resource", ["https://graph.microsoft.com", "https://azure.net.evil.example", "evil"])
def test_a_server_that_asks_for_the_token_of_another_service_gets_none(azure: Azure, resource: str) -> None:
    azure.vault.resource = resource
    with pytest.raises(OperatorNeeded, match="another service"):
        azure.opened().publish(PUBLICATION)
    assert not azure.vault.entra.tokens


def test_a_secret_in_the_environment(azure: Azure, bare: pytest.MonkeyPatch) -> None:
    publisher = opened(f"https://{azure.vault.host}/openrouter?{azure.login}&client_secret_env=TEST_AZURE_SECRET")
    with pytest.raises(OperatorNeeded, match="TEST_AZURE_SECRET"):
        publisher.publish(PUBLICATION)
    bare.setenv("TEST_AZURE_SECRET", azure.vault.entra.secret)
    publisher.publish(PUBLICATION)


def test_credentials_are_found_as_microsoft_finds_them(azure: Azure, bare: pytest.MonkeyPatch) -> None:
    entra = azure.vault.entra
    bare.setenv("AZURE_TENANT_ID", entra.tenant)
    bare.setenv("AZURE_CLIENT_ID", entra.client)
    bare.setenv("AZURE_CLIENT_SECRET", entra.secret)
    opened(f"https://{azure.vault.host}/openrouter").publish(PUBLICATION)
    assert len(azure.versions) == 1


@pytest.mark.parametrize("from_target", [True, False])
def test_a_pod_has_a_workload_identity(azure: Azure, bare: pytest.MonkeyPatch, from_target: bool) -> None:
    entra = azure.vault.entra
    bare.setenv("AZURE_FEDERATED_TOKEN_FILE", str(azure.file))
    azure.file.write_text(entra.secret)
    bare.setenv("AZURE_AUTHORITY_HOST", f"https://{entra.host}")
    bare.setenv("AZURE_TENANT_ID", "other" if from_target else entra.tenant)
    bare.setenv("AZURE_CLIENT_ID", "other" if from_target else entra.client)
    opened(f"https://{azure.vault.host}/openrouter?{azure.login if from_target else ''}").publish(PUBLICATION)
    assert len(azure.versions) == 1


def test_a_machine_has_a_managed_identity(azure: Azure, bare: pytest.MonkeyPatch) -> None:
    token = token_hex(8)
    azure.vault.accepts = lambda bearer: bearer == token
    seen: list[str | None] = []

    def metadata(asked: Asked) -> Answer:
        if "metadata" not in asked.headers:
            return Answer(400, {"error": "bad_request"})
        seen.append(asked.query.get("client_id"))
        lasting = {
            "expires_in": "3600",
            "expires_on": str(int(time.time()) + 3600),
            "resource": "https://vault.azure.net",
        }
        return Answer(200, {"access_token": token, "token_type": "Bearer"} | lasting)

    with azure.cloud.entered("169.254.169.254", metadata):
        opened(f"https://{azure.vault.host}/openrouter?client_id={ID}").publish(PUBLICATION)
    assert seen == [ID]


def test_a_person_may_have_logged_in_with_az(azure: Azure, bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    token = token_hex(8)
    azure.vault.accepts = lambda bearer: bearer == token
    told = {"accessToken": token, "expires_on": int(time.time()) + 3600}
    az = tmp_path / "bin" / "az"
    az.write_text(f"#!/bin/sh\necho '{json.dumps(told)}'\n")
    az.chmod(0o700)
    bare.setenv("PATH", f"{az.parent}:/usr/bin:/bin")
    opened(f"https://{azure.vault.host}/openrouter").publish(PUBLICATION)
    assert len(azure.versions) == 1


@pytest.mark.parametrize("silence", [Answer(dropped=True), Answer(404), Answer(503), Answer(403, b"unreachable")])
def test_no_credentials_are_told_after_one_look_for_a_metadata_service(
    azure: Azure, bare: pytest.MonkeyPatch, silence: Answer
) -> None:
    begun = time.monotonic()
    with azure.cloud.entered("169.254.169.254", lambda asked: silence), pytest.raises(CredentialRejected) as found:
        opened(f"https://{azure.vault.host}/openrouter").publish(PUBLICATION)
    assert "AZURE_CLIENT_ID" in found.value.remedy
    assert time.monotonic() - begun < 10
    assert sum(asked.host == "169.254.169.254" for asked in azure.cloud.asked) <= 2


def test_nobody_is_asked_to_log_in(bare: pytest.MonkeyPatch) -> None:
    chain = _credential(Login(None, None, None, None), {})
    assert isinstance(chain, identity.DefaultAzureCredential)
    names = [type(credential).__name__ for credential in chain.credentials]
    assert [name for name in names if name != "FailedDACCredential"] == [
        "EnvironmentCredential",
        "ManagedIdentityCredential",
        "AzureCliCredential",
    ]


def test_a_refused_secret_is_told_by_entras_number_alone(azure: Azure) -> None:
    azure.file.write_text("wrong-secret")
    with pytest.raises(CredentialRejected, match="AADSTS7000215") as refused:
        azure.opened().publish(PUBLICATION)
    assert "wrong-secret" not in str(refused.value)
    assert refused.value.__context__ is None


@pytest.mark.parametrize("answer", [Answer(503), Answer(dropped=True), Answer(429)])
@pytest.mark.parametrize("chain", [True, False])
def test_an_outage_of_entra_is_no_rejection(
    azure: Azure, bare: pytest.MonkeyPatch, answer: Answer, chain: bool
) -> None:
    entra = azure.vault.entra
    publisher = azure.opened()
    if chain:
        bare.setenv("AZURE_TENANT_ID", entra.tenant)
        bare.setenv("AZURE_CLIENT_ID", entra.client)
        bare.setenv("AZURE_CLIENT_SECRET", entra.secret)
        publisher = opened(f"https://{azure.vault.host}/openrouter")
    azure.cloud.between = lambda asked: answer if asked.path.endswith("/token") else None
    with pytest.raises(Unavailable, match="Entra"):
        publisher.publish(PUBLICATION)
    assert sum(asked.path.endswith("/token") for asked in azure.cloud.asked) == 1


def test_a_token_that_the_vault_does_not_take_is_told(azure: Azure) -> None:
    azure.vault.accepts = lambda bearer: False
    with pytest.raises(CredentialRejected, match="tenant of the vault"):
        azure.opened().publish(PUBLICATION)


def test_a_sovereign_cloud_has_an_entra_of_its_own(cloud: Cloud, tmp_path: Path) -> None:
    entra = Entra("login.chinacloudapi.cn")
    vault = KeyVault(f"test-{token_hex(4)}.vault.azure.cn", entra, "https://vault.azure.cn")
    (tmp_path / "client_secret").write_text(entra.secret)
    cloud.asked.clear()
    with ExitStack() as stack:
        stack.enter_context(cloud.entered(vault.host, vault))
        stack.enter_context(cloud.entered(entra.host, entra))
        azure = Azure(cloud, vault, tmp_path / "client_secret")
        azure.opened().publish(PUBLICATION)
        assert azure.opened().read_back("NAME", PUBLICATION.value) is Holding.SAME
    assert {asked.host for asked in cloud.asked} == {vault.host, entra.host}


# --- when it fails -----------------------------------------------------------------------------------------------


def test_every_exception_of_the_libraries_has_its_family() -> None:
    raised = {
        kind
        for module in (core, identity)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__.startswith(module.__name__)
    }
    assert raised == set(FAULTS)


@pytest.mark.parametrize("kind", sorted({*FAULTS, *STOPPED}, key=str))
@pytest.mark.parametrize("changes", [True, False])
def test_no_foreign_error_is_repeated_or_chained(kind: type[Exception], changes: bool) -> None:
    error = kind.__new__(kind)
    error.args = ("canary",)
    for name in ("response", "status_code", "error"):
        setattr(error, name, None)
    error.message = "canary"  # type: ignore[attr-defined]  # the library's own have one

    def fail() -> None:
        raise error

    with pytest.raises(RotatorError) as caught:
        asked(fail, "azure:here", Bounded(), changes=changes)
    assert str(caught.value).startswith("azure:here: ")
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("status", "reading", "writing"),
    [
        (400, Refused, Refused),
        (403, OperatorNeeded, OperatorNeeded),
        (408, Unavailable, OutcomeUnknown),
        (409, TryAgain, TryAgain),
        (413, Refused, Refused),
        (429, RateLimited, RateLimited),
        (500, Unavailable, OutcomeUnknown),
        (501, OperatorNeeded, OperatorNeeded),
        (503, Unavailable, OutcomeUnknown),
        (999, Unavailable, OutcomeUnknown),
    ],
)
def test_what_a_status_means(
    azure: Azure, status: int, reading: type[RotatorError], writing: type[RotatorError]
) -> None:
    answer = Answer(status, {"error": {"code": "canary", "message": "canary"}})
    azure.always("GET", answer)
    with pytest.raises(reading) as failed:
        azure.opened().read_back("NAME", PUBLICATION.value)
    azure.always("PUT", answer)
    with pytest.raises(writing) as failed:
        azure.opened().publish(PUBLICATION)
    assert "canary" not in str(failed.value)


def test_a_limit_is_waited_for_as_long_as_the_vault_says(azure: Azure) -> None:
    azure.always("PUT", Answer(429, {"error": {"code": "Throttled", "message": "x"}}, {"Retry-After": "30"}))
    with pytest.raises(RateLimited) as limited:
        azure.opened().publish(PUBLICATION)
    assert limited.value.retry_after is not None
    assert limited.value.retry_after.total_seconds() == 30
    assert sum(asked.method == "PUT" for asked in azure.cloud.asked) == 1


def test_an_answer_lost_after_the_value_was_sent_leaves_the_outcome_unknown(azure: Azure) -> None:
    def set_silently() -> Answer:
        azure.versions.append(Version(PUBLICATION.value.reveal(), {}))
        return Answer(dropped=True)

    azure.once("PUT", set_silently)
    with pytest.raises(OutcomeUnknown, match="safe"):
        azure.opened().publish(PUBLICATION)
    azure.opened().publish(PUBLICATION)
    (only,) = azure.versions
    assert json.loads(only.tags["openrouter-rotator"])["sequence"] == 7


def test_an_answer_lost_before_anything_was_sent_can_be_tried_again(azure: Azure) -> None:
    azure.always("GET", Answer(dropped=True))
    asks: tuple[Ask, ...] = (
        lambda: azure.opened().check("NAME"),
        lambda: azure.opened().publish(PUBLICATION),
        lambda: azure.opened().read_back("NAME", PUBLICATION.value),
        lambda: azure.opened().withdraw(PUBLICATION),
    )
    for ask in asks:
        with pytest.raises(Unavailable):
            ask()
    assert not azure.versions


HOSTILE = [
    Answer(200, b""),
    Answer(200, b"\xff\xfe"),
    Answer(200, b"<html>"),
    Answer(200, b"[" * 200_000),
    Answer(200, [1]),
    Answer(200, "text"),
    Answer(200, {}),
    Answer(200, {"id": 7, "value": "x"}),
    Answer(200, {"id": f"https://{HOST}/secrets/x/1", "value": {"a": 1}, "tags": "text"}),
    Answer(200, {"id": f"https://{HOST}/secrets/x/1", "value": "x", "tags": [1]}),
    Answer(200, {"id": f"https://{HOST}/secrets/x", "value": "x"}),
    Answer(200, {"id": "x", "value": "x", "attributes": 7}),
    Answer(200, b"x" * (2 * bounded.LARGEST)),
    Answer(302, b"", {"Location": "https://evil.vault.azure.net/"}),
    Answer(304, b""),
    Answer(400, b'"text"'),
    Answer(400, {"error": "text"}),
    Answer(403, {"error": {"code": "x", "innererror": [7]}}),
    Answer(500, [[1]]),
    Answer(401, b"", {"WWW-Authenticate": "Bearer nonsense"}),
]


@pytest.mark.parametrize("answer", HOSTILE, ids=range(len(HOSTILE)))
def test_whatever_is_answered_is_one_of_our_errors(azure: Azure, answer: Answer) -> None:
    azure.opened().publish(PUBLICATION)
    following = after(PUBLICATION, 1)
    azure.always("secrets/", answer)
    asks: tuple[Ask, ...] = (
        lambda: azure.opened().check("NAME"),
        lambda: azure.opened().publish(following),
        lambda: azure.opened().read_back("NAME", PUBLICATION.value),
    )
    for ask in asks:
        with pytest.raises(RotatorError) as told:
            ask()
        assert told.value.__context__ is None
    azure.always("PUT", answer)
    with pytest.raises(RotatorError):
        azure.opened().publish(following)
    assert {asked.host for asked in azure.cloud.asked} == {azure.vault.host, azure.vault.entra.host}


def test_an_answer_that_is_none_is_no_proof_that_nothing_happened(azure: Azure) -> None:
    azure.always("PUT", Answer(200, b"<html>"))
    with pytest.raises(OutcomeUnknown):
        azure.opened().publish(PUBLICATION)
    azure.always("GET", Answer(200, b"<html>"))
    with pytest.raises(Broken, match="understood"):
        azure.opened().publish(PUBLICATION)


def test_a_certificate_that_nobody_vouches_for_is_not_accepted(azure: Azure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(OperatorNeeded, match="REQUESTS_CA_BUNDLE"):
        azure.opened().publish(PUBLICATION)
    assert not azure.cloud.asked


def test_a_login_that_fails_because_of_an_outage_is_no_rejection() -> None:
    error = core.ClientAuthenticationError("canary")
    assert type(translated(error, "azure:here", changes=True)) is CredentialRejected
    assert type(translated(error, "azure:here", changes=True, outage=True)) is Unavailable


@pytest.fixture
def talkative(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that Microsoft's clients would say if each of their loggers were asked for all."""
    tops = {"azure", "msal", "urllib3"}
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in tops]
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        yield caplog
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_neither_value_nor_token_nor_secret_is_logged(azure: Azure, talkative: pytest.LogCaptureFixture) -> None:
    azure.opened().publish(PUBLICATION)
    azure.opened().read_back("NAME", PUBLICATION.value)
    said = "\n".join(f"{record.getMessage()} {vars(record)}" for record in talkative.records)
    assert "urllib3" in said
    assert "http_logging_policy" not in said
    for secret in (PUBLICATION.value.reveal(), azure.vault.entra.secret, *azure.vault.entra.tokens):
        assert secret not in said
