"""The kubernetes publisher: its target, what it does to Secrets and workloads, and what it says when it cannot.

With ``ROTATOR_TEST_KUBECONFIG`` all that does not meddle with the server's answers runs on a real cluster.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from config.secret import Secret
from tasks.publishers import StoredPublisher, open_publisher, split_publish
from tasks.publishers.kubernetes import ATTEMPTS
from tasks.rotation.errors import (
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
from tests.contract.places._kube_api import Answered
from tests.contract.places._kube_cluster import Cluster, Namespace, cluster, encoded, namespace
from tests.contract.places.kubernetes import documented_role

SECRET_PATH = "/secrets/openrouter"
RULES: list[Any] = [
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "patch", "create"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets", "daemonsets"], "verbs": ["patch"]},
]


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
    if peer.api is not None:
        peer.api.meddle = lambda method, path: None


@pytest.fixture
def token(own: Namespace) -> str:
    return own.account(RULES)


@pytest.fixture
def opened(own: Namespace, token: str, tmp_path: Path) -> Callable[..., StoredPublisher]:
    """Opens the Secret openrouter of the test's namespace, with the account's token or another one."""
    given = token

    def opening(
        key: str | None = "KEY", *, secret: str = "openrouter", token: str = given, **options: str
    ) -> StoredPublisher:
        file = own.kubeconfig(tmp_path / "kubeconfig", token)
        query = "&".join(f"{name}={value}" for name, value in {"kubeconfig": str(file), **options}.items())
        return open_publisher("kubernetes", Secret(f"{own.name}/{secret}?{query}" + (f"#{key}" if key else "")))

    return opening


@pytest.fixture
def publication() -> Publication:
    return Publication(
        rotation_id=token_hex(8), rotation_name="billing", secret_name="NAME", version=1, sequence=10, value=key_text()
    )


def calls_of(publisher: StoredPublisher, publication: Publication) -> list[Callable[[], object]]:
    """What asks and what writes."""
    return [lambda: publisher.check("NAME"), lambda: publisher.publish(publication)]


def key_text() -> Secret:
    return Secret(f"test-key-{token_hex(16)}")


def following(publication: Publication) -> Publication:
    return replace(publication, version=publication.version + 1, sequence=publication.sequence + 1, value=key_text())


def meddle(own: Namespace, answer: Callable[[str, str], Answered | None]) -> None:
    """Let ``answer`` see each request before the server does."""
    if own.cluster.api is None:
        pytest.skip("a real API server lets nobody meddle with its answers")
    own.cluster.api.meddle = answer


def once(act: Callable[[], object], *, before: str, at: str = SECRET_PATH) -> Callable[[str, str], Answered | None]:
    """Do something just before the first such request, as somebody else might."""
    waiting = [act]

    def answer(method: str, path: str) -> Answered | None:
        if method == before and path.endswith(at) and waiting:
            waiting.pop()()
        return None

    return answer


def answering(status: int, body: object = b"", *, to: str, at: str = SECRET_PATH, **headers: str) -> Any:
    """Answer such requests with this."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(method: str, path: str) -> Answered | None:
        return (status, named, content) if method == to and path.endswith(at) else None

    return answer


def stamp(own: Namespace, key: str = "KEY") -> Any:
    return json.loads(own.secret("openrouter")["metadata"]["annotations"][f"openrouter-rotator/{key}"])


# --- the target --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "label", "holds_variables"),
    [
        ("prod/openrouter#KEY", "kubernetes:prod/openrouter#KEY", False),
        ("prod/openrouter", "kubernetes:prod/openrouter", True),
        ("prod/open.router-1?force=true#tls.key_1", "kubernetes:prod/open.router-1#tls.key_1", False),
        ("p/s?restart=deployment/web,statefulset/db-0,daemonset/a.b#K", "kubernetes:p/s#K", False),
        ("p/s?context=eu&kubeconfig=/etc/kube#K", "kubernetes:p/s?kubeconfig=/etc/kube&context=eu#K", False),
        ("p/s?kubeconfig=/a#_KEY", "kubernetes:p/s?kubeconfig=/a#_KEY", False),
    ],
)
def test_the_label_says_where(target: str, label: str, holds_variables: bool) -> None:
    publisher = open_publisher("kubernetes", Secret(target))
    assert publisher.label == label
    assert publisher.holds_variables is holds_variables
    assert split_publish(f"kubernetes:{target}") == ("kubernetes", Secret(target))


@pytest.mark.parametrize(
    "target",
    [
        "hush",
        "/hush",
        "hush/",
        "prod/hush#",
        "Hush/secret#KEY",
        "prod/Hush#KEY",
        "prod/hush..hush#KEY",
        "-hush/secret#KEY",
        f"{'hush' * 16}/secret#KEY",
        f"prod/{'hush' * 51}#KEY",
        "prod/secret/hush#KEY",
        "prod/secret#hush key",
        "prod/secret#hush/key",
        "prod/secret#..hush",
        "prod/secret#.",
        "prod/secret#KEY?force=hush",
        "prod/secret?force=hush#KEY",
        "prod/secret?kubeconfig=hush#KEY",
        "prod/secret?kubeconfig=/hush:/b#KEY",
        "prod/secret?context=hush#KEY",
        "prod/secret?kubeconfig=/a&context=#KEY",
        "prod/secret?kubeconfig=/a&context=hush%0a#KEY",
        "prod/secret?restart=#KEY",
        "prod/secret?restart=hush#KEY",
        "prod/secret?restart=pod/hush#KEY",
        "prod/secret?restart=deployment/web,hush#KEY",
        "prod/secret?restart=deployment/hush/../x#KEY",
        "prod/secret?token=hush#KEY",
        "prod/sec\nret#hush",
    ],
)
def test_a_bad_target_is_refused_without_repeating_it(target: str) -> None:
    with pytest.raises(InvalidInput, match="--publish") as refused:
        open_publisher("kubernetes", Secret(target))
    assert "hush" not in str(refused.value)
    assert refused.value.__context__ is None


def test_a_secret_name_that_is_no_key_is_refused_before_anybody_is_asked() -> None:
    with pytest.raises(InvalidInput, match="--secret-name"):
        open_publisher("kubernetes", Secret("prod/openrouter?kubeconfig=/none")).check("a key")


# --- what stands in the Secret -----------------------------------------------------------------------------------


def test_a_missing_secret_is_made(opened: Any, own: Namespace, publication: Publication) -> None:
    opened().check("NAME")
    assert own.secret("openrouter") is None
    opened().publish(publication)
    assert own.value("openrouter", "KEY") == publication.value.reveal()
    assert own.secret("openrouter")["type"] == "Opaque"
    assert stamp(own) == {
        "rotation": "billing", "version": 1, "sequence": 10, "id": publication.rotation_id, "since": 10,
    }  # fmt: skip


def test_without_a_key_it_is_the_secret_name(opened: Any, own: Namespace, publication: Publication) -> None:
    opened(None).publish(publication)
    assert own.value("openrouter", "NAME") == publication.value.reveal()
    assert opened(None).read_back("NAME", publication.value) is Holding.SAME
    assert opened(None).read_back("OTHER", publication.value) is Holding.NOTHING


def test_two_rotations_share_a_secret_with_everybody_else(
    opened: Any, own: Namespace, publication: Publication
) -> None:
    own.make("secrets", "Secret", "openrouter", data={"theirs": encoded("kept")})
    other = replace(publication, rotation_id=token_hex(8), secret_name="OTHER", sequence=3, value=key_text())
    mine, second = replace(publication, secret_name="MINE"), following(replace(publication, secret_name="MINE"))
    for each in (mine, other, second):
        opened(None).publish(each)
    data = own.secret("openrouter")["data"]
    expected = {"theirs": "kept", "MINE": second.value.reveal(), "OTHER": other.value.reveal()}
    assert data == {key: encoded(value) for key, value in expected.items()}
    assert (stamp(own, "MINE")["version"], stamp(own, "OTHER")["version"]) == (2, 1)

    opened(None).withdraw(second)
    assert own.value("openrouter", "MINE") is None
    assert own.value("openrouter", "OTHER") == other.value.reveal()
    assert list(own.secret("openrouter")["metadata"]["annotations"]) == ["openrouter-rotator/OTHER"]


@pytest.mark.parametrize("key", ["_KEY", "KEY_", "-", "K" * 64, "K" * 253, "a.b-c_d"])
def test_every_key_that_a_secret_can_have_has_its_annotation(
    opened: Any, own: Namespace, publication: Publication, key: str
) -> None:
    opened(key).check("NAME")
    opened(key).publish(publication)
    with pytest.raises(Conflict):
        opened(key).publish(replace(publication, sequence=9))
    opened(key).withdraw(publication)
    assert own.secret("openrouter").get("data") in ({}, None)


def test_a_key_of_another_field_manager_is_taken_over_only_when_told(
    opened: Any, own: Namespace, publication: Publication
) -> None:
    own.make("secrets", "Secret", "openrouter", data={"KEY": encoded("by hand")})
    for call in calls_of(opened(), publication):
        with pytest.raises(Conflict, match="field manager") as refused:
            call()
        assert "force=true" in refused.value.remedy
        assert own.value("openrouter", "KEY") == "by hand"
    opened(force="true").check("NAME")
    assert own.value("openrouter", "KEY") == "by hand"
    opened(force="true").publish(publication)
    assert own.value("openrouter", "KEY") == publication.value.reveal()


def test_a_key_that_somebody_put_there_with_the_same_value_is_no_conflict(
    opened: Any, own: Namespace, publication: Publication
) -> None:
    own.make("secrets", "Secret", "openrouter", data={"KEY": encoded(publication.value.reveal())})
    opened().publish(publication)
    assert stamp(own)["version"] == 1


def test_what_somebody_writes_between_reading_and_writing_stays(
    opened: Any, own: Namespace, publication: Publication
) -> None:
    opened().publish(publication)
    meddle(own, once(lambda: own.edit("openrouter", {"theirs": "kept", "KEY": "overwritten"}), before="PATCH"))
    opened().publish(following(publication))
    assert own.value("openrouter", "theirs") == "kept"
    assert stamp(own)["version"] == 2
    assert own.value("openrouter", "KEY") not in {"overwritten", publication.value.reveal()}


def test_a_stale_worker_that_was_overtaken_between_reading_and_writing_is_refused(
    opened: Any, own: Namespace, publication: Publication
) -> None:
    newest = replace(following(publication), sequence=99)
    opened().publish(publication)
    meddle(own, once(lambda: opened().publish(newest), before="PATCH"))
    with pytest.raises(Conflict, match="newer"):
        opened().publish(following(publication))
    assert own.value("openrouter", "KEY") == newest.value.reveal()


@pytest.mark.parametrize("requests_before", [0, 1])
def test_two_that_make_the_secret_at_once_do_not_go_backwards(
    opened: Any, own: Namespace, publication: Publication, requests_before: int
) -> None:
    """The newer one comes before the older one makes the empty Secret, or after that."""
    newest, seen = replace(following(publication), sequence=99), [0]

    def race(method: str, path: str) -> None:
        if method == "PATCH":
            seen[0] += 1
            if seen[0] == 1 + requests_before:
                opened().publish(newest)

    meddle(own, race)
    with pytest.raises(Conflict, match="newer"):
        opened().publish(publication)
    assert own.value("openrouter", "KEY") == newest.value.reveal()


def test_somebody_who_never_stops_interfering_delays_it(opened: Any, own: Namespace, publication: Publication) -> None:
    opened().publish(publication)
    tries: list[str] = []

    def interfere(method: str, path: str) -> None:
        if method == "PATCH":
            meddle(own, lambda method, path: None)
            own.edit("openrouter", {"theirs": str(len(tries))})
            tries.append(path)
            meddle(own, interfere)

    meddle(own, interfere)
    with pytest.raises(TryAgain, match="at the same time"):
        opened().publish(following(publication))
    assert len(tries) == ATTEMPTS
    assert own.value("openrouter", "KEY") == publication.value.reveal()


def test_a_binary_or_unreadable_value_is_another_value(opened: Any, own: Namespace, publication: Publication) -> None:
    own.make("secrets", "Secret", "openrouter", data={"KEY": "//79", "empty": ""})
    assert opened().read_back("NAME", publication.value) is Holding.OTHER
    assert opened("empty").read_back("NAME", publication.value) is Holding.NOTHING
    assert opened("none").read_back("NAME", publication.value) is Holding.NOTHING


# --- taking it back ----------------------------------------------------------------------------------------------


def test_a_key_that_somebody_else_has_set_stays_when_ours_is_withdrawn(
    opened: Any, own: Namespace, publication: Publication
) -> None:
    opened().publish(publication)
    own.edit("openrouter", {"KEY": "theirs"})
    opened().withdraw(publication)
    assert own.value("openrouter", "KEY") == "theirs"
    assert "annotations" not in own.secret("openrouter")["metadata"]


def test_what_somebody_puts_there_while_it_is_withdrawn_stays(
    opened: Any, own: Namespace, publication: Publication
) -> None:
    opened().publish(publication)
    meddle(own, once(lambda: own.edit("openrouter", {"KEY": "theirs"}), before="PATCH"))
    opened().withdraw(publication)
    assert own.value("openrouter", "KEY") == "theirs"


def test_an_earlier_version_is_withdrawn_too_and_a_later_one_stays(
    opened: Any, own: Namespace, publication: Publication
) -> None:
    opened().publish(publication)
    opened().withdraw(replace(publication, sequence=9))
    assert own.value("openrouter", "KEY") == publication.value.reveal()
    opened().withdraw(following(publication))
    assert own.value("openrouter", "KEY") is None


def test_it_is_withdrawn_even_when_the_list_of_owners_was_cleared(
    opened: Any, own: Namespace, publication: Publication
) -> None:
    opened().publish(publication)
    whole = own.secret("openrouter")
    own.cluster.ask("DELETE", own.path("secrets", "openrouter"))
    metadata = {"name": "openrouter", "annotations": whole["metadata"]["annotations"]}
    own.cluster.ask(
        "POST", own.path("secrets"),
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": whole["data"]}, fieldManager="backup",
    )  # fmt: skip
    opened().withdraw(publication)
    assert own.value("openrouter", "KEY") is None
    assert "annotations" not in own.secret("openrouter")["metadata"]


def test_nothing_is_withdrawn_where_nothing_is(opened: Any, own: Namespace, publication: Publication) -> None:
    opened().withdraw(publication)
    assert own.secret("openrouter") is None
    own.make("secrets", "Secret", "openrouter", data={"KEY": encoded(publication.value.reveal())})
    opened().withdraw(publication)
    assert own.value("openrouter", "KEY") == publication.value.reveal()


def test_a_secret_that_vanishes_meanwhile_is_withdrawn(opened: Any, own: Namespace, publication: Publication) -> None:
    opened().publish(publication)
    meddle(own, once(lambda: own.cluster.ask("DELETE", own.path("secrets", "openrouter")), before="PATCH"))
    opened().withdraw(publication)
    assert own.secret("openrouter") is None


# --- workloads ---------------------------------------------------------------------------------------------------


@pytest.fixture
def generations(own: Namespace) -> Callable[[], list[int]]:
    """How often each workload's pods were replaced."""
    made = {"deployments": ("Deployment", "web"), "statefulsets": ("StatefulSet", "worker")}
    for resource, (kind, name) in made.items():
        own.workload(resource, kind, name)

    def look() -> list[int]:
        found = [own.cluster.ask("GET", own.path(resource, name)) for resource, (_, name) in made.items()]
        return [workload["metadata"]["generation"] - 1 for workload in found]

    return look


RESTART = "deployment/web,statefulset/worker"


def test_workloads_are_restarted_when_the_value_changed_and_only_then(
    opened: Any, own: Namespace, publication: Publication, generations: Callable[[], list[int]]
) -> None:
    publisher = opened(restart=RESTART)
    publisher.check("NAME")
    assert generations() == [0, 0]
    publisher.publish(publication)
    assert generations() == [1, 1]
    publisher.publish(publication)
    publisher.publish(replace(publication, sequence=11))
    publisher.publish(replace(publication, sequence=12, rotation_name="renamed"))
    publisher.check("NAME")
    assert generations() == [1, 1]
    publisher.publish(replace(following(publication), sequence=13))
    assert generations() == [2, 2]
    publisher.publish(replace(publication, sequence=14))  # an undo
    assert generations() == [3, 3]
    publisher.withdraw(replace(publication, sequence=15))
    assert generations() == [3, 3]


def test_two_versions_of_one_lease_restart_twice(
    opened: Any, publication: Publication, generations: Callable[[], list[int]]
) -> None:
    opened(restart=RESTART).publish(publication)
    opened(restart=RESTART).publish(replace(following(publication), sequence=publication.sequence))
    assert generations() == [2, 2]


def test_a_value_that_drifted_is_put_right_in_the_pods_too(
    opened: Any, own: Namespace, publication: Publication, generations: Callable[[], list[int]]
) -> None:
    opened(restart=RESTART).publish(publication)
    own.edit("openrouter", {"KEY": "overwritten"})
    opened(restart=RESTART).publish(replace(publication, sequence=11))
    assert generations() == [2, 2]


def test_a_worker_that_dies_before_the_restart_leaves_it_to_the_next(
    opened: Any, own: Namespace, publication: Publication, generations: Callable[[], list[int]]
) -> None:
    """Between Secret and workload the server fails, which looks the same to whoever comes next."""
    meddle(own, answering(500, to="PATCH", at="/deployments/web"))
    with pytest.raises(OutcomeUnknown, match="holds the new key"):
        opened(restart=RESTART).publish(publication)
    assert own.value("openrouter", "KEY") == publication.value.reveal()
    assert generations() == [0, 1]
    meddle(own, lambda method, path: None)
    for sequence in (11, 12):
        opened(restart=RESTART).publish(replace(publication, sequence=sequence))
        assert generations() == [1, 1]


def test_two_keys_that_restart_one_workload_do_not_fight(
    opened: Any, publication: Publication, generations: Callable[[], list[int]]
) -> None:
    places = [opened("KEY", restart=RESTART), opened("K2", restart=RESTART), opened(secret="two", restart=RESTART)]
    for round_ in range(3):
        for number, publisher in enumerate(places):
            publisher.publish(replace(publication, rotation_id=f"r{number}", sequence=round_))
    assert generations() == [3, 3]


def test_a_missing_workload_is_told_with_what_was_done(
    opened: Any, own: Namespace, publication: Publication, generations: Callable[[], list[int]]
) -> None:
    publisher = opened(restart="deployment/missing,statefulset/worker")
    with pytest.raises(OperatorNeeded, match="deployments named missing"):
        publisher.check("NAME")
    assert own.secret("openrouter") is None
    with pytest.raises(OperatorNeeded, match="deployments named missing") as told:
        publisher.publish(publication)
    assert "The Secret holds the new key, but deployment/missing was not restarted." in str(told.value)
    assert own.value("openrouter", "KEY") == publication.value.reveal()
    assert generations() == [0, 1]


# --- rights ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "part"), [(0, "verbs"), (0, "resources"), (1, "verbs"), (1, "resources")])
@pytest.mark.usefixtures("generations")
def test_the_documented_role_is_the_least(
    own: Namespace, opened: Any, publication: Publication, rule: int, part: str
) -> None:
    """Without any part of it, both ``check`` and ``publish`` name what is lacking."""
    for number, lacking in enumerate(documented_role()[rule][part]):
        rules = deepcopy(documented_role())
        rules[rule][part].remove(lacking)
        left = [each for each in rules if each[part]]  # a rule of nothing is no rule
        publisher = opened(token=own.account(left, f"least-{number}"), restart=RESTART)
        for call in calls_of(publisher, publication):
            with pytest.raises(OperatorNeeded, match="may not") as told:
                call()
            assert lacking in str(told.value)
            assert "resourceNames" in told.value.remedy
        if own.secret("openrouter"):
            own.cluster.ask("DELETE", own.path("secrets", "openrouter"))


def test_without_the_right_to_create_a_secret_that_is_there_will_do(
    own: Namespace, opened: Any, publication: Publication
) -> None:
    rules = documented_role()
    rules[0]["verbs"].remove("create")
    publisher = opened(token=own.account(rules, "least"))
    own.make("secrets", "Secret", "openrouter")
    publisher.check("NAME")
    publisher.publish(publication)
    assert own.value("openrouter", "KEY") == publication.value.reveal()


def test_a_missing_namespace_is_told(own: Namespace, opened: Any, tmp_path: Path, publication: Publication) -> None:
    admin = own.cluster.client.headers["Authorization"].removeprefix("Bearer ")
    file = own.kubeconfig(tmp_path / "admin", admin)
    publisher = open_publisher("kubernetes", Secret(f"nowhere-{token_hex(4)}/openrouter?kubeconfig={file}#KEY"))
    for call in calls_of(publisher, publication):
        with pytest.raises(OperatorNeeded, match="no such namespace"):
            call()


def test_a_refused_token_is_told_and_not_repeated(opened: Any, publication: Publication) -> None:
    wrong = token_hex(16)
    publisher = opened(token=wrong)
    calls: list[Callable[[], object]] = [
        *calls_of(publisher, publication),
        lambda: publisher.withdraw(publication),
        lambda: publisher.read_back("NAME", publication.value),
    ]
    for call in calls:
        with pytest.raises(CredentialRejected) as told:
            call()
        assert wrong not in str(told.value)


# --- Secrets that cannot be written ------------------------------------------------------------------------------


def test_an_immutable_secret_is_left_alone(opened: Any, own: Namespace, publication: Publication) -> None:
    opened().publish(publication)
    own.edit("openrouter", {}, immutable=True)
    opened().publish(publication)  # holds it, so there is nothing to do
    assert opened().read_back("NAME", publication.value) is Holding.SAME
    for call in calls_of(opened(), following(publication)):
        with pytest.raises(Refused, match="immutable"):
            call()
    with pytest.raises(Refused, match="immutable"):
        opened().withdraw(publication)
    assert own.value("openrouter", "KEY") == publication.value.reveal()


def test_a_secret_that_becomes_immutable_meanwhile_is_left_alone(
    opened: Any, own: Namespace, publication: Publication
) -> None:
    opened().publish(publication)
    meddle(own, once(lambda: own.edit("openrouter", {}, immutable=True), before="PATCH"))
    with pytest.raises(Refused, match="immutable"):
        opened().publish(following(publication))


def test_what_is_immutable_is_told_by_the_server_too(opened: Any, own: Namespace, publication: Publication) -> None:
    message = 'Secret "openrouter" is invalid: data: Forbidden: field is immutable when `immutable` is set'
    meddle(own, answering(422, {"kind": "Status", "message": message}, to="PATCH"))
    for call in calls_of(opened(), publication):
        with pytest.raises(Refused, match="immutable"):
            call()


def test_a_secret_of_another_type_is_left_alone(opened: Any, own: Namespace, publication: Publication) -> None:
    own.make("secrets", "Secret", "openrouter", type="kubernetes.io/basic-auth", data={"username": "", "password": ""})
    for call in calls_of(opened(), publication):
        with pytest.raises(Refused, match="Opaque"):
            call()
    assert own.value("openrouter", "KEY") is None


def test_a_secret_that_is_being_deleted_is_waited_for(opened: Any, own: Namespace, publication: Publication) -> None:
    own.make("secrets", "Secret", "openrouter")
    leaving = own.secret("openrouter")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-28T00:00:00Z"
    meddle(own, answering(200, leaving, to="GET"))
    with pytest.raises(TryAgain, match="deleted"):
        opened().publish(publication)


def test_a_secret_that_is_full_is_left_alone(opened: Any, own: Namespace, publication: Publication) -> None:
    own.make("secrets", "Secret", "openrouter", data={"theirs": encoded("x" * ((1 << 20) - 5))})
    for call in calls_of(opened(), publication):
        with pytest.raises(Refused):
            call()


def test_nothing_that_the_client_logs_holds_the_key_or_the_token(
    opened: Any, own: Namespace, token: str, publication: Publication, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("kubernetes.client.rest").setLevel(logging.DEBUG)
        opened(restart=RESTART).withdraw(publication)
        for call in calls_of(opened(), publication):
            call()
        with pytest.raises(RotatorError):
            opened(restart=RESTART).publish(following(publication))
        logging.getLogger("kubernetes.client.rest").debug("response body: %s", "canary")
    for hidden in (publication.value.reveal(), encoded(publication.value.reveal()), token, "canary"):
        assert hidden not in caplog.text
    assert "/secrets/openrouter" in caplog.text  # it was listened to


def test_no_answer_of_the_server_is_repeated(opened: Any, own: Namespace, publication: Publication) -> None:
    opened().publish(publication)
    said = {"kind": "Status", "message": publication.value.reveal(), "reason": "Invalid", "details": {"kind": "x"}}
    for status in (400, 403, 404, 409, 413, 422, 429, 500, 503, 302):
        meddle(own, answering(status, said, to="PATCH"))
        with pytest.raises(RotatorError) as told:
            opened().publish(following(publication))
        assert publication.value.reveal() not in f"{told.value!s} {vars(told.value)}"
        assert told.value.__context__ is None


# --- what its answers mean ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "families"),
    [
        (300, (OperatorNeeded, OperatorNeeded)),
        (400, (Refused, Refused)),
        (401, (CredentialRejected, CredentialRejected)),
        (403, (Refused, Refused)),
        (404, (OperatorNeeded, OutcomeUnknown)),
        (405, (Refused, Refused)),
        (408, (Unavailable, OutcomeUnknown)),
        (409, (TryAgain, TryAgain)),
        (413, (Refused, Refused)),
        (415, (Refused, Refused)),
        (418, (Refused, Refused)),
        (422, (Refused, Refused)),
        (429, (RateLimited, RateLimited)),
        (500, (Unavailable, OutcomeUnknown)),
        (502, (Unavailable, OutcomeUnknown)),
        (503, (Unavailable, OutcomeUnknown)),
        (504, (Unavailable, OutcomeUnknown)),
        (599, (Unavailable, OutcomeUnknown)),
        (204, (OperatorNeeded, OutcomeUnknown)),
        (700, (OperatorNeeded, OutcomeUnknown)),
    ],
)
def test_what_a_status_means(
    opened: Any, own: Namespace, publication: Publication, status: int, families: tuple[type[Exception], ...]
) -> None:
    """To a question, and to a change."""
    own.make("secrets", "Secret", "openrouter")
    for method, family in zip(("GET", "PATCH"), families, strict=True):
        meddle(own, answering(status, {"kind": "Status", "message": "canary"}, to=method))
        with pytest.raises(family) as told:
            opened().publish(publication)
        assert "canary" not in str(told.value)
    meddle(own, answering(status, to="PATCH"))
    with pytest.raises(families[0]):  # a dry run changes nothing, whatever becomes of it
        opened().check("NAME")


@pytest.mark.parametrize(
    ("headers", "details", "pause"),
    [
        ({"Retry_After": "7"}, {}, timedelta(seconds=7)),
        ({}, {"retryAfterSeconds": 9}, timedelta(seconds=9)),
        ({"Retry_After": "7"}, {"retryAfterSeconds": 9}, timedelta(seconds=7)),
        ({"Retry_After": "soon"}, {}, None),
        ({"Retry_After": "-1"}, {"retryAfterSeconds": -1}, None),
        ({"Retry_After": "999999999"}, {}, timedelta(days=1)),
        ({"Retry_After": "9" * 99}, {"retryAfterSeconds": "x"}, None),
    ],
)
def test_how_long_the_server_wants_us_to_wait(
    opened: Any, own: Namespace, headers: dict[str, str], details: dict[str, object], pause: timedelta | None
) -> None:
    for status in (429, 503):
        meddle(own, answering(status, {"kind": "Status", "details": details}, to="GET", **headers))
        with pytest.raises(TryAgain) as told:
            opened().read_back("NAME", key_text())
        assert told.value.retry_after == pause


def test_an_anonymous_caller_is_told_that_its_credential_failed(
    opened: Any, own: Namespace, publication: Publication
) -> None:
    message = 'secrets "openrouter" is forbidden: User "system:anonymous" cannot get resource "secrets"'
    meddle(own, answering(403, {"kind": "Status", "message": message}, to="GET"))
    with pytest.raises(CredentialRejected):
        opened().publish(publication)


def test_a_cluster_that_takes_no_dry_runs_can_be_published_to(
    opened: Any, own: Namespace, publication: Publication
) -> None:
    message = 'admission webhook "policy.example.com" does not support dry run'
    meddle(own, answering(400, {"kind": "Status", "message": message}, to="PATCH"))
    opened().check("NAME")
    with pytest.raises(Refused, match="refused the request"):
        opened().publish(publication)


SECRET = {"kind": "Secret", "metadata": {"resourceVersion": "1"}}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>log in</html>",
        b"\x80\xff",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"[" * 100_000,
        {},
        {"kind": "Pod", "metadata": {"resourceVersion": "1"}},
        {"kind": "Secret"},
        {"kind": "Secret", "metadata": None},
        {"kind": "Secret", "metadata": {}},
        {"kind": "Secret", "metadata": {"resourceVersion": ""}},
        {"kind": "Secret", "metadata": {"resourceVersion": 1}},
        {**SECRET, "data": []},
        {**SECRET, "data": {"KEY": 1}},
        {**SECRET, "data": {"KEY": "***"}},
        {**SECRET, "data": {"KEY": "ä"}},
        {**SECRET, "type": 1},
        {**SECRET, "immutable": "yes"},
        {"kind": "Secret", "metadata": {"resourceVersion": "1", "annotations": {"a": 1}}},
    ],
)
def test_an_answer_that_is_no_secret_is_told(
    opened: Any, own: Namespace, publication: Publication, body: object
) -> None:
    meddle(own, answering(200, body, to="GET"))
    reading: Callable[[], object] = lambda: opened().read_back("NAME", publication.value)  # noqa: E731 - one of a list
    for call in (*calls_of(opened(), publication), reading):
        with pytest.raises(OperatorNeeded, match="not the Kubernetes API's") as told:
            call()
        assert told.value.__context__ is None


@pytest.mark.parametrize("note", ["", "not json", "[]", '{"rotation": 1}', "{}", "x" * 3000])
def test_an_annotation_that_is_none_of_ours_counts_as_none(
    opened: Any, own: Namespace, publication: Publication, note: str
) -> None:
    own.make("secrets", "Secret", "openrouter")
    own.edit("openrouter", {}, metadata={"annotations": {"openrouter-rotator/KEY": note}})
    with pytest.raises(Conflict, match="field manager"):
        opened().publish(publication)
    opened(force="true").publish(publication)
    assert stamp(own)["version"] == 1


@pytest.mark.parametrize("since", ['"x"', "null", "1.5", "{}"])
def test_a_memory_that_was_meddled_with_restarts_once_more(
    opened: Any, own: Namespace, publication: Publication, generations: Callable[[], list[int]], since: str
) -> None:
    opened(restart=RESTART).publish(publication)
    note = json.dumps({**stamp(own), "since": json.loads(since)})
    own.edit("openrouter", {}, metadata={"annotations": {"openrouter-rotator/KEY": note}})
    for sequence in (11, 12):
        opened(restart=RESTART).publish(replace(publication, sequence=sequence))
        assert generations() == [2, 2]
