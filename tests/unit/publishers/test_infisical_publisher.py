"""The infisical publisher: its URL, what stays, who writes at the same moment, and what it says when it fails."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from secrets import token_hex

import pytest

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
    TryAgain,
    Unavailable,
)
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication
from tests.contract.places._infisical import ALL, HIDDEN, Infisical, Kept, running_infisical
from tests.contract.places._served import HANG_UP, Request, Response

NAME = "OPENROUTER_API_KEY"
WHERE = ("project", "prod", "/apps/shop")


@pytest.fixture(scope="module")
def server() -> Iterator[Infisical]:
    with running_infisical() as infisical:
        yield infisical


@pytest.fixture
def infisical(server: Infisical) -> Infisical:
    """Everything is as new, at the same address."""
    vars(server).update(vars(Infisical(url=server.url)))
    server.folder(*WHERE)
    return server


@pytest.fixture
def kept(infisical: Infisical) -> dict[str, Kept]:
    return infisical.folders[WHERE]


@pytest.fixture
def publication() -> Publication:
    value = Secret(f"test-key-{token_hex(16)}")
    return Publication(
        rotation_id=token_hex(8), rotation_name="billing", secret_name=NAME, version=1, sequence=10, value=value
    )


def opened(target: str) -> StoredPublisher:
    return open_publisher("infisical", Secret(target))


def shop(infisical: Infisical, rights: frozenset[str] = ALL, options: str = "") -> StoredPublisher:
    return opened(f"{infisical.url}/project/prod/apps/shop?token={infisical.token(rights)}{options}#{NAME}")


def on(method: str, answer: Response) -> Callable[[Request, Response], Response]:
    """Answer so whenever this is asked of a secret, after it was done."""
    return lambda request, response: answer if (request.method, request.path[-1]) == (method, NAME) else response


def before(method: str, act: Callable[[], object]) -> Callable[[Request], None]:
    """Somebody does this right before the first such request arrives."""
    waiting = [act]

    def mishap(request: Request) -> None:
        if request.method == method and waiting:
            waiting.pop()()

    return mishap


def everything_said(error: BaseException | None) -> str:
    said = []
    while error is not None:
        said += [repr(error.args), repr(vars(error)), *traceback.format_exception(error)]
        error = error.__cause__ or error.__context__
    return "\n".join(said)


# --- the URL -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("https://i.example/p/prod?token=hush#K", "https://i.example/p/prod#K"),
        ("https://I.Example:443/p/prod/?token=hush#K", "https://i.example/p/prod#K"),
        ("https://i.example:8443/p/prod/a//b/?token_file=/t#K", "https://i.example:8443/p/prod/a/b#K"),
        ("p/prod/a%20b?token_env=TOKEN#K", "https://app.infisical.com/p/prod/a b#K"),
        ("http://127.0.0.1:8080/p/prod?client_id=c&client_secret=hush#K", "http://127.0.0.1:8080/p/prod#K"),
        ("https://i.example/p/prod?client_id=c&client_secret_env=S&api=v3#K", "https://i.example/p/prod#K"),
    ],
)
def test_the_label_says_where_without_credentials(target: str, place: str) -> None:
    assert opened(target).label == f"infisical:{place}"
    assert split_publish(f"infisical:{target}") == ("infisical", Secret(target))


@pytest.mark.parametrize(
    "target",
    [
        "hush",
        "#K",
        "https://i.example#K",
        "https://i.example/p?token=hush#K",
        "https://i.example/p/?token=hush#K",
        "https://i.example/p/prod?token=hush",
        "https://i.example/p/prod?token=hush#",
        "https://i.example/p/prod?token=hush#a/b",
        "https://i.example/p/prod?token=hush#a%2Fhush",
        "https://i.example/p/prod?token=hush#..",
        "https://i.example/p/prod?token=hush#a#b",
        "https://i.example/p/prod/../hush?token=hush#K",
        "https://i.example/p/prod/a%0Ahush?token=hush#K",
        "https://i.example/p/pr%20od?token=hush#K",
        "https://u:hush@i.example/p/prod?token=hush#K",
        "https://i.example:hush/p/prod?token=hush#K",
        "https://[hush/p/prod?token=hush#K",
        "http://i.example/p/prod?token=hush#K",
        "ftp://i.example/p/prod?token=hush#K",
        "//u:hush@i.example/p/prod?token=hush#K",
        "https://i.example/p/prod#K",
        "https://i.example/p/prod?token=#K",
        "https://i.example/p/prod?client_id=c&client_secret=#K",
        "https://i.example/p/prod?client_id=c#K",
        "https://i.example/p/prod?client_secret=hush#K",
        "https://i.example/p/prod?client_id=c&token=hush#K",
        "https://i.example/p/prod?client_id=c&client_secret=hush&token=hush#K",
        "https://i.example/p/prod?client_id=c&client_secret=hush&client_secret_file=/s#K",
        "https://i.example/p/prod?client_id=c&client_secret_file=hush#K",
        "https://i.example/p/prod?client_id=hu%20sh&client_secret=hush#K",
        "https://i.example/p/prod?token=hush&api=v2#K",
        "https://i.example/p/prod?token=hush&hush=1#K",
    ],
)
def test_a_bad_target_is_refused_without_repeating_it(target: str) -> None:
    with pytest.raises(InvalidInput, match="--publish") as refused:
        opened(target)
    assert "hush" not in str(refused.value)
    assert refused.value.__context__ is None


# --- who we are --------------------------------------------------------------------------------------------------


def test_each_way_to_prove_who_we_are_will_do(
    infisical: Infisical, publication: Publication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client_id, client_secret = infisical.identity()
    (tmp_path / "secret").write_text(f"{client_secret}\n")
    (tmp_path / "token").write_text(f"{infisical.token()}\n")
    monkeypatch.setenv("THE_SECRET", client_secret)
    monkeypatch.setenv("THE_TOKEN", infisical.token())
    ways = [
        f"client_id={client_id}&client_secret={client_secret}",
        f"client_id={client_id}&client_secret_file={tmp_path / 'secret'}",
        f"client_id={client_id}&client_secret_env=THE_SECRET",
        f"token={infisical.token()}",
        f"token_file={tmp_path / 'token'}",
        "token_env=THE_TOKEN",
    ]
    for way in ways:
        place = opened(f"{infisical.url}/project/prod/apps/shop?{way}#{NAME}")
        place.publish(publication)
        assert place.read_back(NAME, publication.value) is Holding.SAME
    assert infisical.logins == 6


def test_who_is_not_known_is_told_so(infisical: Infisical, publication: Publication, tmp_path: Path) -> None:
    client_id, _ = infisical.identity()
    base = f"{infisical.url}/project/prod/apps/shop"
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(CredentialRejected, match="log in") as rejected:
        opened(f"{base}?client_id={client_id}&client_secret=wrong#{NAME}").publish(publication)
    assert "client secret" in rejected.value.remedy
    with pytest.raises(CredentialRejected):
        opened(f"{base}?token=wrong#{NAME}").publish(publication)
    with pytest.raises(OperatorNeeded, match="empty"):
        opened(f"{base}?client_id={client_id}&client_secret_file={tmp_path / 'empty'}#{NAME}").publish(publication)


def test_a_token_that_has_expired_is_a_matter_of_the_token(infisical: Infisical, publication: Publication) -> None:
    place = shop(infisical)
    infisical.expired.update(infisical.tokens)
    with pytest.raises(CredentialRejected, match="access token"):
        place.publish(publication)


def test_an_address_that_the_identity_does_not_allow_is_told(infisical: Infisical, publication: Publication) -> None:
    client_id, client_secret = infisical.identity()
    infisical.mishap = lambda request: Response(403, {"error": "ForbiddenRequestError", "message": "no"})
    way = f"client_id={client_id}&client_secret={client_secret}"
    with pytest.raises(OperatorNeeded, match="403") as refused:
        opened(f"{infisical.url}/project/prod?{way}#{NAME}").publish(publication)
    assert "address" in refused.value.remedy


@pytest.mark.parametrize(
    ("lacking", "calls"),
    [
        ("describe", "check publish read withdraw"),
        ("readValue", "check publish read withdraw"),
        ("edit", "publish"),
        ("delete", "withdraw"),
    ],
)
def test_a_lacking_right_is_told_and_nothing_changes(
    infisical: Infisical, kept: dict[str, Kept], publication: Publication, lacking: str, calls: str
) -> None:
    shop(infisical).publish(publication)
    held = replace(kept[NAME])
    place = shop(infisical, ALL - {lacking})
    following = replace(publication, sequence=11, value=Secret("another"))
    acts: dict[str, Callable[[], object]] = {
        "check": lambda: place.check(NAME),
        "publish": lambda: place.publish(following),
        "read": lambda: place.read_back(NAME, publication.value),
        "withdraw": lambda: place.withdraw(following),
    }
    for call in calls.split():
        with pytest.raises(OperatorNeeded, match="403") as refused:
            acts[call]()
        assert "role" in refused.value.remedy
    assert kept[NAME] == held


def test_who_may_not_create_is_told_by_publish(
    infisical: Infisical, kept: dict[str, Kept], publication: Publication
) -> None:
    place = shop(infisical, ALL - {"create"})
    place.check(NAME)  # nobody tells
    with pytest.raises(OperatorNeeded, match="403"):
        place.publish(publication)
    assert kept == {}


def test_a_value_that_is_hidden_is_not_compared(infisical: Infisical, publication: Publication) -> None:
    hidden = {"version": 1, "secretValue": HIDDEN, "secretValueHidden": True}
    infisical.afterwards = on("GET", Response(200, {"secret": hidden}))
    with pytest.raises(OperatorNeeded, match="hidden"):
        shop(infisical).read_back(NAME, publication.value)


# --- where it is -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["gone/prod/apps/shop", "project/gone/apps/shop", "project/prod/gone"])
def test_a_folder_that_is_not_there_is_not_taken_for_an_empty_one(
    infisical: Infisical, publication: Publication, path: str
) -> None:
    place = opened(f"{infisical.url}/{path}?token={infisical.token()}#{NAME}")
    calls: list[Callable[[], object]] = [
        lambda: place.check(NAME),
        lambda: place.publish(publication),
        lambda: place.read_back(NAME, publication.value),
        lambda: place.withdraw(publication),
    ]
    for call in calls:
        with pytest.raises(Refused, match="place") as refused:
            call()
        assert "folder" in refused.value.remedy


def test_the_root_is_a_folder(infisical: Infisical, publication: Publication) -> None:
    root = infisical.folder("project", "prod", "/")
    opened(f"{infisical.url}/project/prod?token={infisical.token()}#{NAME}").publish(publication)
    assert infisical.folders[root][NAME].value == publication.value.reveal()


def test_an_older_server_is_asked_in_its_own_words(
    infisical: Infisical, kept: dict[str, Kept], publication: Publication
) -> None:
    infisical.versions = frozenset({"v3"})
    with pytest.raises(Refused) as refused:
        shop(infisical).publish(publication)
    assert "api=v3" in refused.value.remedy
    place = shop(infisical, options="&api=v3")
    place.check(NAME)
    place.publish(publication)
    place.publish(replace(publication, version=2, sequence=11, value=Secret("next")))
    assert place.read_back(NAME, Secret("next")) is Holding.SAME
    place.withdraw(replace(publication, sequence=12))
    assert kept == {}


# --- what stays --------------------------------------------------------------------------------------------------


def test_comment_tags_and_the_metadata_of_others_stay(
    infisical: Infisical, kept: dict[str, Kept], publication: Publication
) -> None:
    theirs: list[dict[str, object]] = [
        {"key": "owner", "value": "payments"},
        {"key": "pin", "value": "1234", "isEncrypted": True},
        {"key": "empty", "value": ""},
    ]
    infisical.write(WHERE, NAME, "old", metadata=list(theirs), comment="ours!", tags=["tag"])
    for sequence in (10, 11, 12):
        shop(infisical).publish(replace(publication, sequence=sequence))
        names = [entry["key"] for entry in kept[NAME].metadata]
        assert kept[NAME].metadata[:3] == theirs
        assert names[3:] == ["openrouter-rotator", "openrouter-rotator-fingerprint"]
    assert (kept[NAME].comment, kept[NAME].tags) == ("ours!", ["tag"])


def test_a_stamp_that_is_none_is_replaced(
    infisical: Infisical, kept: dict[str, Kept], publication: Publication
) -> None:
    infisical.write(WHERE, NAME, "old", metadata=[{"key": "openrouter-rotator", "value": "{}"}])
    shop(infisical).publish(publication)
    assert [entry["key"] for entry in kept[NAME].metadata].count("openrouter-rotator") == 1


def test_a_worker_that_is_late_is_told_how_to_go_on(infisical: Infisical, publication: Publication) -> None:
    shop(infisical).publish(publication)
    with pytest.raises(Conflict, match="newer") as conflict:
        shop(infisical).publish(replace(publication, sequence=9))
    assert "metadata openrouter-rotator" in conflict.value.remedy


# --- in the same moment ------------------------------------------------------------------------------------------


def test_who_writes_between_our_look_and_our_write_is_noticed(
    infisical: Infisical, kept: dict[str, Kept], publication: Publication
) -> None:
    infisical.write(WHERE, NAME, "old")
    infisical.mishap = before("PATCH", lambda: infisical.write(WHERE, NAME, "theirs"))
    with pytest.raises(OutcomeUnknown, match="same moment") as unknown:
        shop(infisical).publish(publication)
    assert "history" in unknown.value.remedy
    shop(infisical).publish(publication)
    assert kept[NAME].value == publication.value.reveal()
    assert kept[NAME].version == 3


def test_who_makes_it_between_our_look_and_our_write_is_left_alone(
    infisical: Infisical, kept: dict[str, Kept], publication: Publication
) -> None:
    infisical.mishap = before("POST", lambda: infisical.write(WHERE, NAME, "theirs"))
    with pytest.raises(TryAgain, match="same moment"):
        shop(infisical).publish(publication)
    assert kept[NAME].value == "theirs"
    shop(infisical).publish(publication)
    assert kept[NAME].value == publication.value.reveal()


def test_who_takes_it_away_between_our_look_and_our_write_is_followed(
    infisical: Infisical, kept: dict[str, Kept], publication: Publication
) -> None:
    infisical.write(WHERE, NAME, "old")
    infisical.mishap = before("PATCH", lambda: kept.pop(NAME))
    with pytest.raises(TryAgain, match="same moment"):
        shop(infisical).publish(publication)
    shop(infisical).publish(publication)
    assert kept[NAME].value == publication.value.reveal()


def test_who_takes_it_away_as_we_do_is_no_error(
    infisical: Infisical, kept: dict[str, Kept], publication: Publication
) -> None:
    shop(infisical).publish(publication)
    infisical.mishap = before("DELETE", lambda: kept.pop(NAME))
    shop(infisical).withdraw(publication)
    assert kept == {}


# --- withdrawing -------------------------------------------------------------------------------------------------


def test_a_value_that_somebody_else_put_under_our_stamp_is_not_withdrawn(
    infisical: Infisical, kept: dict[str, Kept], publication: Publication
) -> None:
    shop(infisical).publish(publication)
    infisical.write(WHERE, NAME, "theirs")
    shop(infisical).withdraw(publication)
    assert kept[NAME].value == "theirs"


@pytest.mark.parametrize(("sequence", "gone"), [(9, False), (10, True), (11, True)])
def test_an_earlier_publication_is_withdrawn_and_a_later_is_not(
    infisical: Infisical, kept: dict[str, Kept], publication: Publication, sequence: int, gone: bool
) -> None:
    shop(infisical).publish(publication)
    shop(infisical).withdraw(replace(publication, version=9, sequence=sequence, value=Secret("another")))
    assert (NAME not in kept) == gone


# --- policies ----------------------------------------------------------------------------------------------------


def test_a_change_that_needs_approval_is_told_and_changes_nothing(
    infisical: Infisical, kept: dict[str, Kept], publication: Publication
) -> None:
    infisical.approvals.add(WHERE)
    with pytest.raises(OperatorNeeded, match="approval") as needed:
        shop(infisical).publish(publication)
    assert "exempt" in needed.value.remedy
    assert kept == {}
    infisical.approvals.clear()
    shop(infisical).publish(publication)
    infisical.approvals.add(WHERE)
    with pytest.raises(OperatorNeeded, match="approval"):
        shop(infisical).publish(replace(publication, sequence=11, value=Secret("next")))
    with pytest.raises(OperatorNeeded, match="approval"):
        shop(infisical).withdraw(publication)
    assert kept[NAME].value == publication.value.reveal()


def test_a_secret_that_infisical_rotates_itself_is_left_to_it(
    infisical: Infisical, kept: dict[str, Kept], publication: Publication
) -> None:
    infisical.write(WHERE, NAME, "theirs", rotated=True)
    with pytest.raises(OperatorNeeded, match="rotation of Infisical"):
        shop(infisical).check(NAME)
    with pytest.raises(Refused, match="400"):
        shop(infisical).publish(publication)
    assert kept[NAME].value == "theirs"


def test_a_name_that_the_project_does_not_want_is_told(infisical: Infisical, publication: Publication) -> None:
    rule = Response(400, {"error": "BadRequestError", "message": "Secret name must be in UPPERCASE"})
    infisical.mishap = lambda request: rule if request.method == "POST" else None
    with pytest.raises(Refused, match="400") as refused:
        shop(infisical).publish(publication)
    assert "rules" in refused.value.remedy


# --- when it fails -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "family"), [("GET", Unavailable), ("POST", OutcomeUnknown), ("PATCH", OutcomeUnknown)]
)
def test_an_answer_that_is_lost(
    infisical: Infisical,
    kept: dict[str, Kept],
    publication: Publication,
    method: str,
    family: type[RotatorError],
) -> None:
    if method == "PATCH":
        infisical.write(WHERE, NAME, "old")
    infisical.afterwards = on(method, HANG_UP)
    with pytest.raises(RotatorError) as lost:
        shop(infisical).publish(publication)
    assert type(lost.value) is family
    assert publication.value.reveal() not in everything_said(lost.value)
    infisical.afterwards = lambda request, response: response
    shop(infisical).publish(publication)
    assert kept[NAME].value == publication.value.reveal()


def test_an_answer_to_a_withdrawal_that_is_lost(
    infisical: Infisical, kept: dict[str, Kept], publication: Publication
) -> None:
    shop(infisical).publish(publication)
    infisical.afterwards = on("DELETE", HANG_UP)
    with pytest.raises(OutcomeUnknown):
        shop(infisical).withdraw(publication)
    shop(infisical).withdraw(publication)
    assert kept == {}


def test_a_limit_is_waited_for(infisical: Infisical, publication: Publication) -> None:
    infisical.mishap = lambda request: Response(429, {"error": "RateLimitExceeded"}, {"Retry-After": "41"})
    with pytest.raises(RateLimited) as limited:
        shop(infisical).publish(publication)
    assert limited.value.retry_after == timedelta(seconds=41)


@pytest.mark.parametrize("message", ["", b"<html>not found</html>", "Route GET:/api/v4/secrets/X not found"])
def test_a_404_of_somebody_else_is_not_an_empty_place(
    infisical: Infisical, publication: Publication, message: object
) -> None:
    body = message if isinstance(message, bytes) else {"message": message}
    infisical.mishap = lambda request: Response(404, body)
    with pytest.raises(Refused) as refused:
        shop(infisical).read_back(NAME, publication.value)
    assert "Is it Infisical" in refused.value.remedy


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{}", b"<html>", b"\xff" * 64, b"x" * 400_000, b'{"secret": 7}']
)
@pytest.mark.parametrize(("method", "family"), [("GET", Unavailable), ("POST", OutcomeUnknown)])
def test_whatever_is_answered_is_one_of_our_errors(
    infisical: Infisical, publication: Publication, method: str, family: type[RotatorError], body: bytes
) -> None:
    infisical.afterwards = on(method, Response(200, body))
    with pytest.raises(family):
        shop(infisical).publish(publication)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"accessToken": ""}', b'{"accessToken": 7}', b'{"accessToken": "a\\nb"}']
)
def test_a_login_that_brings_no_token_is_our_error(infisical: Infisical, publication: Publication, body: bytes) -> None:
    infisical.mishap = lambda request: Response(200, body)
    place = opened(f"{infisical.url}/project/prod?client_id=c&client_secret=s#{NAME}")
    with pytest.raises(CredentialRejected if b"\\n" in body else Unavailable):
        place.publish(publication)


def test_neither_credential_nor_value_is_in_an_address_or_a_log(
    infisical: Infisical, publication: Publication, caplog: pytest.LogCaptureFixture
) -> None:
    addresses: list[str] = []
    infisical.mishap = lambda request: addresses.append(f"{request.path} {request.query}")
    client_id, client_secret = infisical.identity()
    way = f"client_id={client_id}&client_secret={client_secret}"
    with caplog.at_level(logging.DEBUG):
        place = opened(f"{infisical.url}/project/prod/apps/shop?{way}#{NAME}")
        place.check(NAME)
        place.publish(publication)
        place.withdraw(publication)
    for secret in (client_secret, publication.value.reveal(), *infisical.tokens):
        assert secret not in caplog.text
        assert secret not in "".join(addresses)


def test_what_is_there_already_is_only_looked_at(infisical: Infisical, publication: Publication) -> None:
    asked: list[str] = []
    shop(infisical).publish(publication)
    infisical.mishap = lambda request: asked.append(request.method)
    shop(infisical).publish(publication)
    assert asked == ["GET"]
