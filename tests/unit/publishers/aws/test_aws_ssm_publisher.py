"""The aws-ssm publisher: its target, its labels, and what a store without a compare-and-set leaves to it."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from secrets import token_hex
from typing import Literal

import pytest

from config.secret import Secret
from tasks.publishers import StoredPublisher, open_publisher
from tasks.publishers._places.aws.label import label_of
from tasks.rotation.errors import Broken, Conflict, InvalidInput, OperatorNeeded, OutcomeUnknown, Refused, TryAgain
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication
from tests.contract.places._moto import REGION, Aws, User
from tests.contract.places.aws_ssm import LEAST, OwnersParameter
from tests.unit.publishers.aws.conftest import HANG_UP, Lie, Line, attempts, key, newer, once


def opened(target: str) -> StoredPublisher:
    return open_publisher("aws-ssm", Secret(target))


# --- the target ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "label"),
    [
        ("/app/key", "/app/key"),
        ("key", "key"),
        ("/app/key?kms_key=alias/app&region=eu-west-1", "/app/key?region=eu-west-1"),
        ("/app/key?endpoint=http://localhost:4566&profile=p", "/app/key?profile=p&endpoint=http://localhost:4566"),
    ],
)
def test_the_label_says_which_place_and_no_more(target: str, label: str) -> None:
    assert opened(target).label == f"aws-ssm:{label}"
    assert opened(target).target == Secret(target)


@pytest.mark.parametrize(
    "target",
    [
        "/hush/",
        "//hush",
        "/hush hush",
        "/hush:3",
        "/app/key#hush",
        "/AWS/hush",
        "ssmhush",
        "/a" * 16,
        "/" + "a" * 1011,
        "arn:aws:ssm:eu-west-1:123456789012:parameter/hush",
        "/app/key?create=hush",
        "/app/key?region=hush",
    ],
)
def test_a_bad_target_is_refused_without_repeating_it(target: str) -> None:
    with pytest.raises(InvalidInput, match="--publish") as refused:
        opened(target)
    assert "hush" not in str(refused.value).lower()
    assert refused.value.__context__ is None


# --- a parameter of its own for each test -------------------------------------------------------------------------


@pytest.fixture
def parameter(aws: Aws) -> OwnersParameter:
    return OwnersParameter(aws, f"/app/{token_hex(4)}/key")


@pytest.fixture
def ours(parameter: OwnersParameter, line: Line, worker: User) -> StoredPublisher:
    """The parameter, over the line."""
    return opened(f"{parameter.name}?region={REGION}&profile={worker.name}&endpoint={line.url}")


@pytest.fixture
def beside(parameter: OwnersParameter, aws: Aws, worker: User) -> StoredPublisher:
    """Another worker of ours, on a line of its own."""
    return opened(f"{parameter.name}?region={REGION}&profile={worker.name}&endpoint={aws.url}")


# --- versions and labels ------------------------------------------------------------------------------------------


def test_each_publication_is_a_version_and_only_the_latest_has_a_label(
    parameter: OwnersParameter, ours: StoredPublisher, publication: Publication
) -> None:
    parameter.write("old")
    ours.publish(publication)
    assert parameter.labels() == {1: [], 2: [label_of(publication)]}
    following = newer(publication)
    ours.publish(following)
    assert parameter.labels() == {1: [], 2: [], 3: [label_of(following)]}


def test_what_the_owner_said_of_the_parameter_stays(
    aws: Aws, parameter: OwnersParameter, ours: StoredPublisher, line: Line, publication: Publication
) -> None:
    """AWS documents that policies stay when none are sent; of key and tier it says nothing, so they are sent."""
    policies = json.dumps([{"Type": "NoChangeNotification", "Version": "1.0"}])
    aws.parameters.put_parameter(
        Name=parameter.name,
        Value="old",
        Type="SecureString",
        KeyId="alias/theirs",
        Tier="Advanced",
        Description="theirs",
        Policies=policies,
    )
    aws.parameters.label_parameter_version(Name=parameter.name, ParameterVersion=1, Labels=["theirs"])
    ours.publish(publication)
    first, second = aws.parameters.get_parameter_history(Name=parameter.name)["Parameters"]
    for told in ("KeyId", "Tier", "Description", "Policies", "Type"):
        assert dict(second)[told] == dict(first)[told]
    assert first["Labels"] == ["theirs"]
    sent = json.loads(line.bodies[line.heard.index("PutParameter")])
    assert (sent["KeyId"], sent["Tier"]) == ("alias/theirs", "Advanced")
    assert not {"Policies", "Description", "AllowedPattern", "DataType"} & sent.keys()


def test_another_kms_key_is_used_when_it_is_named(
    aws: Aws, parameter: OwnersParameter, line: Line, worker: User, publication: Publication
) -> None:
    parameter.write("old")
    target = f"{parameter.name}?region={REGION}&profile={worker.name}&endpoint={line.url}&kms_key=alias/ours"
    opened(target).publish(publication)
    history = aws.parameters.get_parameter_history(Name=parameter.name)["Parameters"]
    assert [entry["KeyId"] for entry in history] == ["alias/aws/ssm", "alias/ours"]


def test_nothing_is_asked_twice_and_only_what_is_needed(
    parameter: OwnersParameter, ours: StoredPublisher, line: Line, publication: Publication
) -> None:
    ours.publish(publication)
    assert line.heard == ["GetParameterHistory", "PutParameter", "LabelParameterVersion"]
    line.heard.clear()
    ours.publish(publication)
    ours.read_back("NAME", publication.value)
    assert line.heard == ["GetParameterHistory", "GetParameter", "GetParameter"]
    line.heard.clear()
    ours.publish(newer(publication))
    claim, label, sweep = "LabelParameterVersion", "LabelParameterVersion", "UnlabelParameterVersion"
    assert line.heard == ["GetParameterHistory", claim, "PutParameter", label, sweep]


def test_more_than_a_page_of_versions_is_looked_through_and_no_label_of_ours_stands_in_the_way(
    parameter: OwnersParameter, ours: StoredPublisher, publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page has 50; AWS keeps 100, and this one 55, to save time."""
    monkeypatch.setattr("moto.ssm.models.PARAMETER_VERSION_LIMIT", 55)
    ours.publish(publication)
    for _ in range(54):
        parameter.write("theirs")
    with pytest.raises(OperatorNeeded, match="100 versions"):
        ours.publish(newer(publication))
    ours.withdraw(newer(publication))
    ours.publish(publication)
    assert parameter.text() == publication.value.reveal()
    assert list(filter(None, parameter.labels().values())) == [[label_of(publication)]]


def test_a_parameter_that_we_did_not_make_is_not_deleted(
    parameter: OwnersParameter, ours: StoredPublisher, publication: Publication
) -> None:
    """With it would go its versions, policies and description."""
    parameter.write("theirs")
    ours.publish(publication)
    with pytest.raises(Refused, match="did not make"):
        ours.withdraw(publication)
    assert parameter.text() == publication.value.reveal()
    assert parameter.text(1) == "theirs"


# --- deaths and races ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["PutParameter", "LabelParameterVersion", "UnlabelParameterVersion"])
@pytest.mark.parametrize("arrives", [False, True])
def test_a_lost_answer_leaves_the_outcome_unknown_and_the_next_publication_repairs_it(
    *,
    parameter: OwnersParameter,
    ours: StoredPublisher,
    line: Line,
    publication: Publication,
    operation: str,
    arrives: bool,
) -> None:
    ours.publish(publication)
    following = newer(publication)
    hang_up = once(operation, lambda: HANG_UP)
    line.before, line.after = ((lambda _: None), hang_up) if arrives else (hang_up, (lambda _: None))
    with pytest.raises(OutcomeUnknown, match="safe"):
        ours.publish(following)
    ours.publish(following)
    assert parameter.text() == following.value.reveal()
    assert list(filter(None, parameter.labels().values())) == [[label_of(following)]]


def test_a_worker_that_was_overtaken_before_its_claim_is_refused(
    parameter: OwnersParameter, ours: StoredPublisher, beside: StoredPublisher, line: Line, publication: Publication
) -> None:
    beside.publish(newer(publication))
    with pytest.raises(Conflict, match="newer publication"):
        ours.publish(publication)
    assert line.heard == ["GetParameterHistory"]


@pytest.mark.parametrize(
    ("moment", "empty"), [("LabelParameterVersion", False), ("PutParameter", False), ("PutParameter", True)]
)
def test_a_worker_that_was_overtaken_between_two_requests_puts_the_newer_key_back(
    *,
    parameter: OwnersParameter,
    ours: StoredPublisher,
    beside: StoredPublisher,
    line: Line,
    publication: Publication,
    moment: str,
    empty: bool,
) -> None:
    if not empty:
        parameter.write("old")
    following = newer(publication)
    line.before = once(moment, lambda: beside.publish(following))
    with pytest.raises(Conflict, match="newer publication"):
        ours.publish(publication)
    assert parameter.text() == following.value.reveal()
    assert beside.read_back("NAME", following.value) is Holding.SAME

    beside.publish(following)
    assert list(filter(None, parameter.labels().values())) == [[label_of(following)]]


def test_a_newer_worker_that_was_written_over_before_it_labelled_its_version_reads_that_back(
    *,
    parameter: OwnersParameter,
    ours: StoredPublisher,
    worker: User,
    line: Line,
    second_line: Line,
    publication: Publication,
) -> None:
    """The late one sees the newer one's claim, and does not call it a success; it cannot know whose version it was."""
    parameter.write("old")
    following = newer(publication)
    beside = opened(f"{parameter.name}?region={REGION}&profile={worker.name}&endpoint={second_line.url}")
    written, go_on = threading.Event(), threading.Event()

    def wait_to_label(operation: str) -> None:
        if operation == "LabelParameterVersion" and "PutParameter" in second_line.heard:
            written.set()
            go_on.wait(10)

    second_line.before = wait_to_label
    with ThreadPoolExecutor() as pool:

        def overtake() -> None:
            pool.submit(beside.publish, following)
            assert written.wait(10)

        line.before = once("PutParameter", overtake)
        with pytest.raises(Conflict):
            ours.publish(publication)
        go_on.set()
    assert beside.read_back("NAME", following.value) is Holding.OTHER
    beside.publish(following)
    assert beside.read_back("NAME", following.value) is Holding.SAME
    assert list(filter(None, parameter.labels().values())) == [[label_of(following)]]


def test_a_claim_alone_shuts_a_late_worker_out_and_is_swept(
    parameter: OwnersParameter, ours: StoredPublisher, line: Line, publication: Publication
) -> None:
    parameter.write("old")
    following = newer(publication)
    line.before = once("PutParameter", lambda: HANG_UP)
    with pytest.raises(OutcomeUnknown):
        ours.publish(following)
    assert parameter.labels() == {1: [label_of(following, claim=True)]}
    with pytest.raises(Conflict):
        ours.publish(publication)
    assert parameter.text() == "old"
    ours.publish(newer(following))
    assert parameter.labels()[1] == []


@pytest.mark.parametrize("moment", ["LabelParameterVersion", "PutParameter"])
def test_what_somebody_else_writes_at_the_same_moment_is_overwritten_once(
    parameter: OwnersParameter, ours: StoredPublisher, line: Line, publication: Publication, moment: str
) -> None:
    parameter.write("old")
    line.before = once(moment, lambda: parameter.write("theirs"))
    ours.publish(publication)
    assert parameter.text() == publication.value.reveal()
    assert list(parameter.labels()) == [1, 2, 3]


def test_a_parameter_that_comes_to_be_meanwhile_is_looked_at_again(
    parameter: OwnersParameter, ours: StoredPublisher, line: Line, publication: Publication
) -> None:
    line.before = once("PutParameter", lambda: parameter.write("theirs"))
    ours.publish(publication)
    assert (parameter.text(1), parameter.text(2)) == ("theirs", publication.value.reveal())


def test_who_writes_without_end_is_given_way_to(
    parameter: OwnersParameter, ours: StoredPublisher, line: Line, publication: Publication
) -> None:
    def interfere(operation: str) -> None:
        if operation in {"PutParameter", "LabelParameterVersion"}:
            parameter.write("theirs")

    line.before = interfere
    with pytest.raises(TryAgain, match="may hold the new key"):
        ours.publish(publication)


# --- withdrawing --------------------------------------------------------------------------------------------------


def test_a_value_that_somebody_else_put_there_is_not_withdrawn(
    parameter: OwnersParameter, ours: StoredPublisher, publication: Publication
) -> None:
    ours.publish(publication)
    parameter.write("theirs")
    ours.withdraw(newer(publication))
    assert parameter.text() == "theirs"
    assert parameter.labels() == {1: [], 2: []}


def test_a_claim_is_no_reason_to_delete(
    parameter: OwnersParameter, ours: StoredPublisher, line: Line, publication: Publication
) -> None:
    parameter.write("theirs")
    line.before = once("PutParameter", lambda: HANG_UP)
    with pytest.raises(OutcomeUnknown):
        ours.publish(publication)
    ours.withdraw(publication)
    assert parameter.text() == "theirs"


def test_a_newer_publication_is_not_withdrawn(
    parameter: OwnersParameter, ours: StoredPublisher, publication: Publication
) -> None:
    ours.publish(newer(publication))
    before = parameter.everything()
    ours.withdraw(publication)
    assert parameter.everything() == before


# --- what is not ours to write ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["String", "StringList"])
def test_a_parameter_of_another_type_is_left_alone(
    aws: Aws,
    parameter: OwnersParameter,
    ours: StoredPublisher,
    publication: Publication,
    kind: Literal["String", "StringList"],
) -> None:
    aws.parameters.put_parameter(Name=parameter.name, Value="old", Type=kind)
    before = parameter.everything()
    for attempt in attempts(ours, publication):
        with pytest.raises(Refused, match="no SecureString"):
            attempt()
    assert parameter.everything() == before


@pytest.mark.parametrize(("tier", "most"), [("Standard", 4096), ("Advanced", 8192)])
def test_a_key_longer_than_the_tier_allows_is_refused(
    *,
    aws: Aws,
    parameter: OwnersParameter,
    ours: StoredPublisher,
    publication: Publication,
    tier: Literal["Standard", "Advanced"],
    most: int,
) -> None:
    aws.parameters.put_parameter(Name=parameter.name, Value="old", Type="SecureString", Tier=tier)
    with pytest.raises(Refused, match=f"{most} bytes"):
        ours.publish(replace(publication, value=Secret("é" * (most // 2) + "x")))
    ours.publish(replace(publication, value=Secret("é" * (most // 2))))


@pytest.mark.parametrize("lacking", [action for action in LEAST if "Delete" not in action])
def test_a_lacking_right_is_found_by_check_and_costs_nothing_when_publishing(
    *,
    aws: Aws,
    parameter: OwnersParameter,
    ours: StoredPublisher,
    worker: User,
    publication: Publication,
    lacking: str,
) -> None:
    ours.publish(publication)
    aws.allow(worker.name, *(action for action in LEAST if action != lacking))
    with pytest.raises(OperatorNeeded) as refused:
        ours.check("NAME")
    assert f"Allow {lacking}" in refused.value.remedy
    if "Unlabel" not in lacking and lacking != "ssm:GetParameter":
        with pytest.raises(OperatorNeeded, match="old value was left"):
            ours.publish(newer(publication))
        assert parameter.text() == publication.value.reveal()


def test_a_history_without_end_is_a_fault(ours: StoredPublisher, line: Line) -> None:
    entry = {"Version": 1, "Type": "SecureString"}
    endless = Lie(200, json.dumps({"Parameters": [entry], "NextToken": "more"}).encode())
    line.before = lambda _: endless
    with pytest.raises(Broken, match="does not end"):
        ours.check("NAME")


def test_a_label_that_aws_does_not_take_is_a_fault(ours: StoredPublisher, line: Line, publication: Publication) -> None:
    line.before = once("LabelParameterVersion", lambda: Lie(200, b'{"InvalidLabels": ["x"]}'))
    with pytest.raises(Broken, match="does not take the label"):
        ours.publish(publication)


def test_another_value_is_told_from_ours(ours: StoredPublisher, publication: Publication) -> None:
    assert ours.read_back("NAME", publication.value) is Holding.NOTHING
    ours.publish(publication)
    assert ours.read_back("NAME", key()) is Holding.OTHER
