"""The aws-secrets-manager publisher: its target, its versions, their labels, and what happens between two requests."""

from __future__ import annotations

import json
from dataclasses import replace
from secrets import token_hex

import pytest

from config.secret import Secret
from tasks.publishers import StoredPublisher, open_publisher
from tasks.publishers._places.aws.label import label_of
from tasks.rotation.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    OperatorNeeded,
    OutcomeUnknown,
    Refused,
    TryAgain,
    Unavailable,
)
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication
from tests.contract.places._moto import ACCOUNT, REGION, Aws, User
from tests.contract.places.aws_secrets_manager import LEAST, OwnersSecret
from tests.unit.publishers.aws.conftest import HANG_UP, Lie, Line, attempts, key, newer, once, refusal

CREATING = ("CreateSecret", "DeleteSecret", "RestoreSecret")
ARN = f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:app/key-AbCdEf"


def opened(target: str) -> StoredPublisher:
    return open_publisher("aws-secrets-manager", Secret(target))


# --- the target ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "label"),
    [
        ("app/key", "app/key"),
        ("app/key#A", "app/key#A"),
        ("app/key#a%23%20b", "app/key#a# b"),
        ("app/key?region=eu-west-1#A", "app/key?region=eu-west-1#A"),
        ("app/key?profile=prod&region=eu-west-1", "app/key?region=eu-west-1&profile=prod"),
        (
            f"k?role=arn:aws:iam::{ACCOUNT}:role/r&external_id=hush&region=eu-west-1&profile=p",
            f"k?region=eu-west-1&account={ACCOUNT}",
        ),
        ("k?endpoint=http://127.0.0.1:4566/", "k?endpoint=http://127.0.0.1:4566"),
        ("k?endpoint=https://Vault.example:443", "k?endpoint=https://vault.example"),
        ("k?endpoint=https://[::1]:4566", "k?endpoint=https://[::1]:4566"),
        ("k?create=true&kms_key=alias/app", "k"),
        (ARN, ARN),
        (f"{ARN}?region=eu-west-1&profile=prod#A", f"{ARN}#A"),
    ],
)
def test_the_label_says_which_place_and_no_more(target: str, label: str) -> None:
    assert opened(target).label == f"aws-secrets-manager:{label}"
    assert opened(target).target == Secret(target)


@pytest.mark.parametrize(
    "target",
    [
        "?region=eu-west-1",
        "hush hush",
        "hush\n",
        "k#",
        "k#hush#hush",
        "k#%0Ahush",
        "k?region=HUSH!",
        "k?region=hush",
        "k?endpoint=http://hush.example",
        "k?endpoint=http://127.0.0.1.hush.example",
        "k?endpoint=https://hush@example",
        "k?endpoint=https://u:hush@example",
        "k?endpoint=https://example/hush",
        "k?endpoint=https://example?hush",
        "k?endpoint=https://example:hush",
        "k?endpoint=https://example:99999",
        "k?endpoint=https://[hush",
        "k?endpoint=ftp://hush.example",
        "k?external_id=hush",
        "k?sts_endpoint=https://hush.example",
        "k?role=hush",
        "k?role=arn:aws:iam::hush:role/r",
        "k?profile=hush%20hush",
        "k?kms_key=alias/hush",
        "k?create=hush",
        "k?aws_secret_access_key=hush",
        f"{ARN}?region=us-east-1",
        f"{ARN}?create=true",
        "arn:aws:secretsmanager:eu-west-1:hush:secret:k",
    ],
)
def test_a_bad_target_is_refused_without_repeating_it(target: str) -> None:
    with pytest.raises(InvalidInput, match="--publish") as refused:
        opened(target)
    assert "hush" not in str(refused.value).lower()
    assert refused.value.__context__ is None


# --- a secret of its own for each test ----------------------------------------------------------------------------


@pytest.fixture
def secret(aws: Aws) -> OwnersSecret:
    """One JSON secret, with a member that is not ours."""
    name = f"app/{token_hex(4)}"
    aws.secrets.create_secret(Name=name, SecretString=json.dumps({"OTHER": "kept"}))
    return OwnersSecret(aws, name)


@pytest.fixture
def ours(secret: OwnersSecret, line: Line, worker: User) -> StoredPublisher:
    """Its member KEY, over the line."""
    return member(secret, line, worker)


def member(secret: OwnersSecret, line: Line, worker: User, name: str = "KEY") -> StoredPublisher:
    return opened(f"{secret.name}?region={REGION}&profile={worker.name}&endpoint={line.url}#{name}")


@pytest.fixture
def beside(secret: OwnersSecret, aws: Aws, worker: User) -> StoredPublisher:
    """Another worker of ours, on a line of its own."""
    return opened(f"{secret.name}?region={REGION}&profile={worker.name}&endpoint={aws.url}#KEY")


@pytest.fixture
def whole(aws: Aws, line: Line, worker: User) -> tuple[OwnersSecret, StoredPublisher]:
    """A secret that is not there yet, and that we may make."""
    aws.allow(worker.name, *LEAST, *(f"secretsmanager:{action}" for action in CREATING))
    name = f"app/{token_hex(4)}"
    target = f"{name}?region={REGION}&profile={worker.name}&endpoint={line.url}&create=true&kms_key=alias/app"
    return OwnersSecret(aws, name), opened(target)


def mark(publication: Publication, name: str | None = "KEY") -> str:
    return label_of(publication, member=name)


def held(secret: OwnersSecret, name: str = "KEY") -> object:
    return json.loads(secret.text() or "{}").get(name)


# --- versions and labels ------------------------------------------------------------------------------------------


def test_the_labels_are_what_aws_means_by_them(
    secret: OwnersSecret, ours: StoredPublisher, publication: Publication
) -> None:
    first = secret.current()
    ours.publish(publication)
    second = secret.current()
    assert secret.labels() == {first: ["AWSPREVIOUS"], second: [mark(publication), "AWSCURRENT"]}
    following = newer(publication)
    ours.publish(following)
    assert secret.labels() == {
        first: [],
        second: ["AWSPREVIOUS"],
        secret.current(): [mark(following), "AWSCURRENT"],
    }


def test_what_others_wrote_stays_to_the_digit(
    secret: OwnersSecret, ours: StoredPublisher, publication: Publication
) -> None:
    secret.write('{"n": 1.10e400, "KEY": null, "o": {"a":[1,  2]}, "u": "\\u00e9"}')
    ours.publish(publication)
    ours_in_place = json.dumps({"KEY": publication.value.reveal()}).strip("{}")
    assert secret.text() == '{"n": 1.10e400, ' + ours_in_place + ', "o": {"a":[1,  2]}, "u": "\\u00e9"}'
    ours.withdraw(publication)
    assert secret.text() == '{"n": 1.10e400, "o": {"a":[1,  2]}, "u": "\\u00e9"}'


def test_a_repeated_publication_is_the_same_version(
    secret: OwnersSecret, ours: StoredPublisher, line: Line, publication: Publication
) -> None:
    """Its answer was lost, so it is sent again."""
    line.after = once("PutSecretValue", lambda: HANG_UP)
    with pytest.raises(OutcomeUnknown, match="safe"):
        ours.publish(publication)
    versions = set(secret.labels())
    ours.publish(publication)
    assert set(secret.labels()) == versions
    assert held(secret) == publication.value.reveal()


@pytest.mark.parametrize("under_a_newer_lease", [False, True])
def test_a_death_between_writing_and_moving_is_repaired_by_the_next_publication(
    secret: OwnersSecret, ours: StoredPublisher, line: Line, publication: Publication, under_a_newer_lease: bool
) -> None:
    line.before = once("UpdateSecretVersionStage", lambda: HANG_UP)
    with pytest.raises(OutcomeUnknown):
        ours.publish(publication)
    assert held(secret) is None
    assert secret.holder("AWSPENDING")

    following = newer(publication) if under_a_newer_lease else publication
    ours.publish(following)
    assert held(secret) == following.value.reveal()
    assert secret.holder("AWSPENDING") is None
    assert secret.holder(mark(following)) == secret.current()
    assert under_a_newer_lease == (secret.holder(mark(publication)) is None)


def test_a_death_before_the_labels_are_swept_is_repaired_by_the_same_publication(
    secret: OwnersSecret, ours: StoredPublisher, line: Line, publication: Publication
) -> None:
    ours.publish(publication)
    following = newer(publication)
    moves = iter([None, HANG_UP])
    line.before = lambda operation: next(moves) if operation == "UpdateSecretVersionStage" else None
    with pytest.raises(OutcomeUnknown):
        ours.publish(following)
    assert secret.holder("AWSPENDING") == secret.current()

    line.before = lambda _: None
    current = secret.current()
    ours.publish(following)
    assert secret.labels()[current or ""] == [mark(following), "AWSCURRENT"]
    assert secret.holder(mark(publication)) is None


def test_nothing_is_asked_twice_and_only_what_is_needed(
    ours: StoredPublisher, line: Line, publication: Publication
) -> None:
    ours.publish(publication)
    moves = ["UpdateSecretVersionStage"] * 2
    assert line.heard == ["DescribeSecret", "GetSecretValue", "PutSecretValue", *moves]
    line.heard.clear()
    ours.publish(publication)
    ours.read_back("NAME", publication.value)
    assert line.heard == ["DescribeSecret", "GetSecretValue", "GetSecretValue"]


def test_an_administrator_s_step_back_is_drift_and_put_right(
    secret: OwnersSecret, ours: StoredPublisher, publication: Publication
) -> None:
    first = secret.current() or ""
    ours.publish(publication)
    second = secret.current() or ""
    secret.aws.secrets.update_secret_version_stage(
        SecretId=secret.name, VersionStage="AWSCURRENT", MoveToVersionId=first, RemoveFromVersionId=second
    )
    assert ours.read_back("NAME", publication.value) is Holding.NOTHING
    ours.publish(publication)
    assert secret.current() == second
    assert secret.labels() == {first: ["AWSPREVIOUS"], second: [mark(publication), "AWSCURRENT"]}


def test_a_version_that_lost_its_label_gets_it_again(
    secret: OwnersSecret, ours: StoredPublisher, publication: Publication
) -> None:
    first = secret.current() or ""
    ours.publish(publication)
    second = secret.current() or ""
    update = secret.aws.secrets.update_secret_version_stage
    update(SecretId=secret.name, VersionStage="AWSCURRENT", MoveToVersionId=first, RemoveFromVersionId=second)
    update(SecretId=secret.name, VersionStage=mark(publication), RemoveFromVersionId=second)
    ours.publish(publication)
    assert secret.holder(mark(publication)) == second == secret.current()


# --- races --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"])
def test_a_worker_that_was_overtaken_between_two_requests_is_refused(
    *,
    secret: OwnersSecret,
    ours: StoredPublisher,
    beside: StoredPublisher,
    line: Line,
    publication: Publication,
    moment: str,
) -> None:
    following = newer(publication)
    line.before = once(moment, lambda: beside.publish(following))
    with pytest.raises(Conflict, match="newer publication"):
        ours.publish(publication)
    assert held(secret) == following.value.reveal()
    assert secret.holder("AWSPENDING") is None
    assert secret.holder(mark(publication)) is None


@pytest.mark.parametrize("moment", ["GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"])
def test_what_somebody_else_writes_at_the_same_moment_stays(
    secret: OwnersSecret, ours: StoredPublisher, line: Line, publication: Publication, moment: str
) -> None:
    line.before = once(moment, lambda: secret.change("OTHER", "changed"))
    ours.publish(publication)
    assert (held(secret), held(secret, "OTHER")) == (publication.value.reveal(), "changed")
    assert secret.holder("AWSPENDING") is None
    assert secret.holder(mark(publication)) == secret.current()


def test_who_writes_without_end_is_given_way_to(
    secret: OwnersSecret, ours: StoredPublisher, line: Line, publication: Publication
) -> None:
    def interfere(operation: str) -> None:
        if operation == "PutSecretValue":
            secret.change("OTHER", token_hex(4))

    line.before = interfere
    with pytest.raises(TryAgain, match="old key is still in it"):
        ours.publish(publication)
    assert held(secret) is None
    assert secret.holder("AWSPENDING") is None


def test_what_is_written_during_a_withdrawal_stays(
    secret: OwnersSecret, ours: StoredPublisher, line: Line, publication: Publication
) -> None:
    ours.publish(publication)
    line.before = once("PutSecretValue", lambda: secret.change("OTHER", "changed"))
    ours.withdraw(publication)
    assert json.loads(secret.text() or "") == {"OTHER": "changed"}


def test_a_late_worker_is_refused_however_often_another_member_was_published_since(
    secret: OwnersSecret, ours: StoredPublisher, line: Line, worker: User, publication: Publication
) -> None:
    following = newer(publication)
    ours.publish(following)
    second = member(secret, line, worker, "SECOND")
    other = replace(publication, rotation_id=token_hex(8), sequence=1)
    for _ in range(3):
        other = newer(other)
        second.publish(other)
    with pytest.raises(Conflict, match=r"newer(.|\n)*backup"):
        ours.publish(publication)
    assert held(secret) == following.value.reveal()
    assert held(secret, "SECOND") == other.value.reveal()


def test_one_rotation_may_publish_two_members_of_one_secret(
    secret: OwnersSecret, ours: StoredPublisher, line: Line, worker: User, publication: Publication
) -> None:
    second = member(secret, line, worker, "SECOND")
    ours.publish(publication)
    second.publish(publication)
    second.withdraw(publication)
    assert json.loads(secret.text() or "") == {"OTHER": "kept", "KEY": publication.value.reveal()}
    ours.withdraw(publication)
    assert json.loads(secret.text() or "") == {"OTHER": "kept"}
    assert not any(label.startswith("rotator-") for labels in secret.labels().values() for label in labels)


# --- what is not ours to write ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("no json", "no JSON object"),
        ('["a"]', "no JSON object"),
        ("[" * 10_000, "no JSON object"),
        ('{"KEY": {"a": 1}}', "object or a list"),
        (json.dumps({"OTHER": "x" * 65_500}), "65536 bytes"),
    ],
)
def test_a_content_that_a_member_would_spoil_is_left_alone(
    secret: OwnersSecret, ours: StoredPublisher, publication: Publication, content: str, problem: str
) -> None:
    secret.write(content)
    before = secret.everything()
    with pytest.raises(Refused, match=problem):
        ours.publish(publication)
    if "bytes" not in problem:
        with pytest.raises(Refused, match=problem):
            ours.check("NAME")
    assert secret.everything() == before
    assert ours.read_back("NAME", publication.value) is not Holding.SAME


def test_bytes_are_left_alone(aws: Aws, line: Line, worker: User, publication: Publication) -> None:
    name = f"app/{token_hex(4)}"
    aws.secrets.create_secret(Name=name, SecretBinary=b"\xff\0")
    publisher = opened(f"{name}?region={REGION}&profile={worker.name}&endpoint={line.url}")
    assert publisher.read_back("NAME", publication.value) is Holding.OTHER
    for attempt in attempts(publisher, publication):
        with pytest.raises(Refused, match="bytes"):
            attempt()


def test_a_json_secret_is_not_replaced_as_a_whole(
    secret: OwnersSecret, line: Line, worker: User, publication: Publication
) -> None:
    publisher = opened(f"{secret.name}?region={REGION}&profile={worker.name}&endpoint={line.url}")
    for attempt in attempts(publisher, publication):
        with pytest.raises(Refused, match="#FIELD"):
            attempt()
    assert json.loads(secret.text() or "") == {"OTHER": "kept"}


@pytest.mark.parametrize(
    ("told", "remedy"),
    [
        ({"RotationEnabled": True}, "cancel-rotate-secret"),
        ({"OwningService": "rds"}, "of your own"),
        ({"PrimaryRegion": "us-east-1"}, "region=us-east-1"),
        ({"DeletedDate": 1_900_000_000}, "restore-secret"),
        ({"VersionIdsToStages": {"a" * 32: ["AWSCURRENT"], "b" * 32: ["AWSPENDING"]}}, "update-secret-version-stage"),
    ],
)
def test_a_secret_that_somebody_else_keeps_is_left_alone(
    *,
    secret: OwnersSecret,
    ours: StoredPublisher,
    line: Line,
    publication: Publication,
    told: dict[str, object],
    remedy: str,
) -> None:
    described = {"ARN": ARN, "Name": secret.name, "VersionIdsToStages": secret.labels(), **told}
    lie = Lie(200, json.dumps(described).encode())
    line.before = lambda operation: lie if operation == "DescribeSecret" else None
    for attempt in attempts(ours, publication):
        with pytest.raises(Conflict) as refused:
            attempt()
        assert remedy in refused.value.remedy
    assert "PutSecretValue" not in line.heard


def test_a_primary_with_replicas_and_an_ended_rotation_are_no_obstacles(
    secret: OwnersSecret, ours: StoredPublisher, line: Line, publication: Publication
) -> None:
    current = secret.current() or ""
    told = {"PrimaryRegion": "eu-west-1", "RotationEnabled": False, "DeletedDate": None}
    described = {"ARN": ARN, "VersionIdsToStages": {current: ["AWSCURRENT", "AWSPENDING"]}, **told}
    line.before = once("DescribeSecret", lambda: Lie(200, json.dumps(described).encode()))
    ours.publish(publication)
    assert held(secret) == publication.value.reveal()


def test_a_secret_scheduled_for_deletion_holds_nothing_and_is_not_restored(
    secret: OwnersSecret, ours: StoredPublisher, publication: Publication
) -> None:
    secret.aws.secrets.delete_secret(SecretId=secret.name)
    for attempt in attempts(ours, publication):
        with pytest.raises(Conflict, match="restore-secret"):
            attempt()
    assert ours.read_back("NAME", publication.value) is Holding.NOTHING
    ours.withdraw(publication)  # nobody can read it


def test_a_secret_without_a_value_gets_its_first_version(
    aws: Aws, line: Line, worker: User, publication: Publication
) -> None:
    secret = OwnersSecret(aws, f"app/{token_hex(4)}")
    aws.secrets.create_secret(Name=secret.name)
    publisher = member(secret, line, worker)
    publisher.check("NAME")
    assert publisher.read_back("NAME", publication.value) is Holding.NOTHING
    publisher.publish(publication)
    assert secret.labels() == {secret.current(): [mark(publication), "AWSCURRENT"]}
    assert line.heard.count("UpdateSecretVersionStage") == 2  # one rehearsal, and AWSPENDING: AWSCURRENT came by itself


# --- a whole secret, that we may make -----------------------------------------------------------------------------


def test_a_missing_secret_is_refused_unless_it_may_be_made(
    secret: OwnersSecret, line: Line, worker: User, publication: Publication
) -> None:
    publisher = opened(f"{secret.name}-x?region={REGION}&profile={worker.name}&endpoint={line.url}")
    for attempt in attempts(publisher, publication):
        with pytest.raises(NotFound, match="create=true"):
            attempt()
    assert publisher.read_back("NAME", publication.value) is Holding.NOTHING
    publisher.withdraw(publication)
    assert "CreateSecret" not in line.heard


def test_a_secret_of_our_making_lives_as_long_as_its_key(
    whole: tuple[OwnersSecret, StoredPublisher], publication: Publication
) -> None:
    secret, publisher = whole
    publisher.check("NAME")
    publisher.publish(publication)
    made = secret.aws.secrets.describe_secret(SecretId=secret.name)
    assert (made["KmsKeyId"], secret.text()) == ("alias/app", publication.value.reveal())
    publisher.check("NAME")

    for _ in range(2):
        publisher.withdraw(publication)
    assert "DeletedDate" in secret.aws.secrets.describe_secret(SecretId=secret.name)
    publisher.check("NAME")

    following = newer(publication)
    publisher.publish(following)
    assert "DeletedDate" not in secret.aws.secrets.describe_secret(SecretId=secret.name)
    assert secret.text() == following.value.reveal()


def test_a_secret_that_somebody_else_makes_at_the_same_moment_is_used_and_not_deleted(
    whole: tuple[OwnersSecret, StoredPublisher], line: Line, publication: Publication
) -> None:
    secret, publisher = whole
    make = secret.aws.secrets.create_secret
    line.before = once("CreateSecret", lambda: make(Name=secret.name, SecretString="old") and None)
    publisher.publish(publication)
    assert secret.text() == publication.value.reveal()
    with pytest.raises(Refused, match="cannot be empty"):
        publisher.withdraw(publication)
    assert secret.text() == publication.value.reveal()


def test_two_workers_that_write_the_first_version_do_not_both_win(
    whole: tuple[OwnersSecret, StoredPublisher], line: Line, publication: Publication
) -> None:
    secret, publisher = whole
    secret.aws.secrets.create_secret(Name=secret.name)
    following = newer(publication)
    beside = opened(publisher.target.reveal().replace(line.url, secret.aws.url))
    line.before = once("PutSecretValue", lambda: beside.publish(following))
    with pytest.raises(Conflict):
        publisher.publish(publication)
    assert secret.text() == following.value.reveal()


# --- withdrawing --------------------------------------------------------------------------------------------------


def test_a_value_that_somebody_else_put_there_is_not_withdrawn(
    secret: OwnersSecret, ours: StoredPublisher, publication: Publication
) -> None:
    ours.publish(publication)
    secret.change("KEY", "theirs")
    ours.withdraw(newer(publication))
    assert held(secret) == "theirs"
    assert secret.holder(mark(publication)) is None


def test_an_older_version_of_ours_is_withdrawn_behind_another_member_s_change(
    secret: OwnersSecret, ours: StoredPublisher, publication: Publication
) -> None:
    ours.publish(publication)
    secret.change("OTHER", "changed")
    ours.withdraw(newer(publication))
    assert json.loads(secret.text() or "") == {"OTHER": "changed"}


def test_a_newer_publication_is_not_withdrawn(
    secret: OwnersSecret, ours: StoredPublisher, publication: Publication
) -> None:
    following = newer(publication)
    ours.publish(following)
    before = secret.everything()
    ours.withdraw(publication)
    assert secret.everything() == before


def test_a_publication_that_never_became_current_is_no_reason_to_take_anything(
    secret: OwnersSecret, ours: StoredPublisher, line: Line, publication: Publication
) -> None:
    secret.change("KEY", "theirs")
    line.before = once("UpdateSecretVersionStage", lambda: HANG_UP)
    with pytest.raises(OutcomeUnknown):
        ours.publish(publication)
    ours.withdraw(publication)
    assert held(secret) == "theirs"


@pytest.mark.parametrize("move", [0, 1, 2])
@pytest.mark.parametrize("again", ["publish", "withdraw"])
def test_a_death_during_a_withdrawal_is_repaired_by_whatever_comes_next(
    *, secret: OwnersSecret, ours: StoredPublisher, line: Line, publication: Publication, move: int, again: str
) -> None:
    ours.publish(publication)
    moves = iter([None] * move + [HANG_UP])
    line.before = lambda operation: next(moves, None) if operation == "UpdateSecretVersionStage" else None
    with pytest.raises(OutcomeUnknown):
        ours.withdraw(publication)
    following = newer(publication)
    getattr(ours, again)(following)
    assert held(secret) == (following.value.reveal() if again == "publish" else None)
    labels = [label for labels in secret.labels().values() for label in labels]
    assert sorted(labels) == ["AWSCURRENT", "AWSPREVIOUS", *([mark(following)] if again == "publish" else [])]


# --- rights and failures ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lacking", LEAST)
def test_a_lacking_right_is_found_by_check_and_costs_nothing_when_publishing(
    *,
    aws: Aws,
    secret: OwnersSecret,
    ours: StoredPublisher,
    worker: User,
    publication: Publication,
    lacking: str,
) -> None:
    aws.allow(worker.name, *(action for action in LEAST if action != lacking))
    for attempt in attempts(ours, publication):
        with pytest.raises(OperatorNeeded) as refused:
            attempt()
        assert f"Allow {lacking}" in refused.value.remedy
        assert "left as it is" in refused.value.message
    assert held(secret) is None


@pytest.mark.parametrize("operation", ["DescribeSecret", "GetSecretValue"])
def test_an_answer_lost_before_anything_was_written_changed_nothing(
    ours: StoredPublisher, line: Line, publication: Publication, operation: str
) -> None:
    line.before = lambda asked: HANG_UP if asked == operation else None
    with pytest.raises(Unavailable, match="old value was left"):
        ours.publish(publication)


def test_a_version_that_cannot_be_found_is_not_taken_for_an_empty_one(
    secret: OwnersSecret, ours: StoredPublisher, line: Line, publication: Publication
) -> None:
    """To write without having read the other members would lose them."""
    line.before = once("GetSecretValue", lambda: refusal("ResourceNotFoundException"))
    with pytest.raises(TryAgain, match="not found"):
        ours.publish(publication)
    assert json.loads(secret.text() or "") == {"OTHER": "kept"}


def test_what_is_said_behind_the_move_is_true(ours: StoredPublisher, line: Line, publication: Publication) -> None:
    moves = iter([None, refusal("AccessDeniedException")])
    line.before = lambda operation: next(moves) if operation == "UpdateSecretVersionStage" else None
    with pytest.raises(OperatorNeeded, match="The key is in place"):
        ours.publish(publication)


def test_a_version_id_that_holds_something_else_is_a_conflict(
    ours: StoredPublisher, line: Line, publication: Publication
) -> None:
    line.before = once("PutSecretValue", lambda: refusal("ResourceExistsException"))
    with pytest.raises(Conflict, match="another content"):
        ours.publish(publication)


def test_a_member_s_name_may_be_anything_printable(
    secret: OwnersSecret, line: Line, worker: User, publication: Publication
) -> None:
    publisher = member(secret, line, worker, "a%23%22%20%C3%A9")
    publisher.publish(publication)
    assert held(secret, 'a#" é') == publication.value.reveal()
    assert publisher.read_back("NAME", publication.value) is Holding.SAME
    assert publisher.read_back("NAME", key()) is Holding.OTHER
