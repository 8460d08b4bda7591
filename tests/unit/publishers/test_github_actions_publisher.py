"""The github-actions publisher: its target, what it can know of rights, its receipts, and how it fails."""

from __future__ import annotations

import base64
import inspect
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from secrets import token_hex

import pytest
from nacl import exceptions

from config.secret import Secret
from tasks.publishers import StoredPublisher, open_publisher, split_publish
from tasks.publishers.github_actions import MOST_REPOSITORIES
from tasks.rotation.errors import (
    Broken,
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
from tests.contract.places._github import GitHub, running_github
from tests.contract.places._served import HANG_UP, Request, Response

NAME = "OPENROUTER_API_KEY"
WRITER = ("secrets:read", "secrets:write", "environments:read", "environments:write")
ORGANISER = ("organization_secrets:read", "organization_secrets:write")


def opened(target: str) -> StoredPublisher:
    return open_publisher("github-actions", Secret(target))


@pytest.fixture(scope="module")
def server() -> Iterator[GitHub]:
    with running_github() as github:
        yield github


@pytest.fixture
def github(server: GitHub) -> GitHub:
    """Everything is as new, at the same address."""
    fresh = GitHub(url=server.url)
    vars(server).update(vars(fresh))
    server.repository("acme", "shop", "prod / eu")
    server.repository("acme", "site")
    server.organisation("acme")
    return server


@pytest.fixture
def publication() -> Publication:
    value = Secret(f"test-key-{token_hex(16)}")
    return Publication(
        rotation_id=token_hex(8), rotation_name="billing", secret_name=NAME, version=1, sequence=1, value=value
    )


def shop(github: GitHub, *rights: str, scopes: str | None = None) -> StoredPublisher:
    token = github.token(*(rights or WRITER), scopes=scopes)
    return opened(f"acme/shop?api={github.url}&token={token}")


def on(method: str, ending: str, answer: Response) -> Callable[[Request, Response], Response]:
    """Answer so whenever this is asked, after it was done."""

    def afterwards(request: Request, response: Response) -> Response:
        return answer if (request.method, request.path[-1]) == (method, ending) else response

    return afterwards


def everything_said(error: BaseException | None) -> str:
    said = []
    while error is not None:
        said += [repr(error.args), repr(vars(error)), *traceback.format_exception(error)]
        error = error.__cause__ or error.__context__
    return "\n".join(said)


# --- the target --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("acme/shop?token=hush", "acme/shop"),
        ("Acme/Shop?token=hush", "acme/shop"),
        ("acme/shop?token_file=/run/t&api=https://api.github.com/", "acme/shop"),
        ("acme/shop?environment=Prod&token_env=TOKEN", "acme/shop?environment=prod"),
        ("acme/shop?environment=a%2Fb%20c&token=hush", "acme/shop?environment=a/b c"),
        ("acme?visibility=all&token=hush", "acme"),
        ("acme?visibility=selected&repositories=shop,site&token=hush", "acme"),
        ("acme/shop?api=https://GHE.example/api/v3/&token=hush", "acme/shop?api=https://ghe.example/api/v3"),
        ("acme/.github?token=hush", "acme/.github"),
    ],
)
def test_the_label_says_where_without_credentials(target: str, place: str) -> None:
    assert opened(target).label == f"github-actions:{place}"
    assert split_publish(f"github-actions:{target}") == ("github-actions", Secret(target))


@pytest.mark.parametrize(
    "target",
    [
        "?token=hush",
        "acme/shop",
        "acme/?token=hush",
        "/shop?token=hush",
        "acme/..?token=hush",
        "acme/.?token=hush",
        "acme/shop/hush?token=hush",
        "acme/sh op?token=hush",
        "https://github.com/acme/shop?token=hush",
        "acme/shop?token=",
        "acme/shop?token=hush&token_file=/run/t",
        "acme/shop?token_file=hush",
        "acme/shop?token_env=ROTATOR_MASTER_KEY",
        "acme/shop?token=hush&hush=1",
        "acme/shop?token=hush&environment=",
        "acme/shop?token=hush&environment=..",
        "acme/shop?token=hush&environment=a%0Ab",
        "acme/shop?token=hush&visibility=all",
        "acme/shop?token=hush&repositories=site",
        "acme?token=hush",
        "acme?token=hush&visibility=some",
        "acme?token=hush&visibility=all&environment=prod",
        "acme?token=hush&visibility=all&repositories=shop",
        "acme?token=hush&visibility=selected",
        "acme?token=hush&visibility=selected&repositories=",
        "acme?token=hush&visibility=selected&repositories=shop,,site",
        "acme?token=hush&visibility=selected&repositories=../hush",
        f"acme?token=hush&visibility=selected&repositories={','.join(['shop'] * (MOST_REPOSITORIES + 1))}",
        "acme/shop?token=hush&api=http://ghe.example/api/v3",
        "acme/shop?token=hush&api=https://u:hush@ghe.example/api/v3",
        "acme/shop?token=hush&api=https://ghe.example/%3Fhush",
    ],
)
def test_a_bad_target_is_refused_without_repeating_it(target: str) -> None:
    with pytest.raises(InvalidInput, match="--publish") as refused:
        opened(target)
    assert "hush" not in str(refused.value)
    assert refused.value.__context__ is None


@pytest.mark.parametrize("name", ["openrouter_api_key", "GITHUB_KEY", "1KEY", "A-B", "A B", "", "A/../B", "A" * 256])
def test_a_name_that_github_would_not_take_is_refused(name: str, publication: Publication) -> None:
    place = opened("acme/shop?token=hush")
    calls: list[Callable[[], object]] = [
        lambda: place.check(name),
        lambda: place.publish(replace(publication, secret_name=name)),
        lambda: place.read_back(name, publication.value),
        lambda: place.withdraw(replace(publication, secret_name=name)),
    ]
    for call in calls:
        with pytest.raises(InvalidInput, match="--secret-name"):
            call()


def test_the_token_is_read_anew_for_each_call(
    github: GitHub, publication: Publication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    by_file = opened(f"acme/shop?api={github.url}&token_file={file}")
    by_variable = opened(f"acme/shop?api={github.url}&token_env=THE_TOKEN")
    for place in (by_file, by_variable):
        with pytest.raises(OperatorNeeded, match="nothing was changed"):
            place.publish(publication)
    file.write_text("wrong\n")
    monkeypatch.setenv("THE_TOKEN", "wrong")
    for place in (by_file, by_variable):
        with pytest.raises(CredentialRejected):
            place.publish(publication)
    token = github.token(*WRITER)
    file.write_text(f"{token}\n")
    monkeypatch.setenv("THE_TOKEN", token)
    for place in (by_file, by_variable):
        place.publish(publication)


# --- the three kinds of secrets ----------------------------------------------------------------------------------

KINDS = {
    "repository": ("acme/shop?", ("acme", "shop"), {}),
    "environment": ("acme/shop?environment=Prod%20/%20eu&", ("acme", "shop", "prod / eu"), {}),
    "organisation": ("acme?visibility=private&", ("acme",), {"visibility": "private"}),
    "selected": (
        "acme?visibility=selected&repositories=site,Shop&",
        ("acme",),
        {"visibility": "selected", "selected_repository_ids": [1296270, 1296269]},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_secret_is_set_seen_and_withdrawn(github: GitHub, publication: Publication, kind: str) -> None:
    target, where, access = KINDS[kind]
    github.write(where, "OTHER", "kept", visibility="all")
    place = opened(f"{target}api={github.url}&token={github.token(*WRITER, *ORGANISER)}")
    place.check(NAME)
    assert place.read_back(NAME, publication.value) is Holding.NOTHING
    receipt = place.publish(publication)
    kept = github.kept[where][NAME]
    assert (kept.value, kept.access) == (publication.value.reveal(), access)
    assert place.read_back(NAME, publication.value, receipt) is Holding.SAME
    place.check(NAME)
    github.write(where, NAME, "another", visibility="all")
    assert place.read_back(NAME, publication.value, receipt) is Holding.OTHER
    place.withdraw(publication)
    assert list(github.kept[where]) == ["OTHER"]
    assert place.read_back(NAME, publication.value, receipt) is Holding.NOTHING


def test_a_chosen_repository_that_is_not_there_is_found_by_check(github: GitHub, publication: Publication) -> None:
    token = github.token(*ORGANISER)
    place = opened(f"acme?visibility=selected&repositories=shop,gone&api={github.url}&token={token}")
    with pytest.raises(OperatorNeeded, match="404"):
        place.check(NAME)
    with pytest.raises(OperatorNeeded, match="404"):
        place.publish(publication)
    assert github.kept[("acme",)] == {}


# --- receipts ----------------------------------------------------------------------------------------------------


def test_a_receipt_tells_value_and_moment(github: GitHub, publication: Publication) -> None:
    place = shop(github)
    receipt = place.publish(publication)
    assert receipt is not None
    assert receipt.endswith("updated_at:2026-03-01T12:00:01+00:00")
    assert place.read_back(NAME, Secret("another"), receipt) is Holding.OTHER
    for other in (None, "", "sha256:0", receipt.replace("12:00:01", "12:00:02"), f"{receipt} "):
        assert place.read_back(NAME, publication.value, other) is Holding.OTHER


def test_who_writes_the_same_value_later_changes_the_moment(github: GitHub, publication: Publication) -> None:
    place = shop(github)
    first = place.publish(publication)
    second = place.publish(publication)
    assert place.read_back(NAME, publication.value, first) is Holding.OTHER
    assert place.read_back(NAME, publication.value, second) is Holding.SAME


def test_a_write_within_the_second_of_ours_stays_unseen(github: GitHub, publication: Publication) -> None:
    """A limit of what GitHub tells; the module says so."""
    place = shop(github)
    receipt = place.publish(publication)
    github.step = timedelta()
    github.write(("acme", "shop"), NAME, "another")
    assert place.read_back(NAME, publication.value, receipt) is Holding.SAME


@pytest.mark.parametrize("shown", ["2026-01-30T03:00:00Z", None])
def test_a_look_at_what_was_before_is_no_receipt(github: GitHub, publication: Publication, shown: str | None) -> None:
    """A replica that lags behind, as GitHub's may."""
    old = Response(404, {"message": "Not Found"}) if shown is None else Response(200, {"updated_at": shown})
    github.afterwards = on("GET", NAME, old)
    with pytest.raises(OutcomeUnknown, match=r"before\. Setting it again is safe"):
        shop(github).publish(publication)


def test_a_write_behind_ours_is_not_taken_for_ours(github: GitHub, publication: Publication) -> None:
    def overtaken(request: Request, response: Response) -> Response:
        if request.method == "PUT":
            answered = Response(response.status, response.body, {"Date": format_datetime(github.now, usegmt=True)})
            github.now += timedelta(seconds=2)
            github.write(("acme", "shop"), NAME, "another")
            return answered
        return response

    github.afterwards = overtaken
    with pytest.raises(OutcomeUnknown, match=r"somebody else.*Setting it again is safe"):
        shop(github).publish(publication)


def test_without_the_time_of_our_write_there_is_no_receipt(github: GitHub, publication: Publication) -> None:
    github.afterwards = on("PUT", NAME, Response(204, b"", {"Date": "yesterday"}))
    with pytest.raises(OutcomeUnknown, match="the time"):
        shop(github).publish(publication)


def test_a_clock_that_differs_a_little_does_not_matter(github: GitHub, publication: Publication) -> None:
    github.afterwards = on("GET", NAME, Response(200, {"updated_at": "2026-03-01T11:59:30Z"}))
    assert shop(github).publish(publication) is not None


# --- rights ------------------------------------------------------------------------------------------------------


def test_who_may_not_read_is_told_by_check(github: GitHub) -> None:
    with pytest.raises(OperatorNeeded, match="403") as refused:
        shop(github, "metadata:read").check(NAME)
    assert "repository permission 'Secrets: read and write'" in refused.value.remedy
    assert not isinstance(refused.value, CredentialRejected | Refused | RateLimited)


def test_who_may_only_read_is_told_by_publish_and_nothing_changes(github: GitHub, publication: Publication) -> None:
    github.write(("acme", "shop"), NAME, "old")
    place = shop(github, "secrets:read")
    place.check(NAME)  # GitHub does not tell
    with pytest.raises(OperatorNeeded, match=r"403\. Nothing was changed"):
        place.publish(publication)
    with pytest.raises(OperatorNeeded, match=r"403\. Nothing was changed"):
        place.withdraw(publication)
    assert github.kept["acme", "shop"][NAME].value == "old"


@pytest.mark.parametrize("scopes", ["", "public_repo", "admin:org, workflow"])
def test_a_classic_token_without_the_scope_is_told_by_check(github: GitHub, scopes: str) -> None:
    github.afterwards = on("GET", "public-key", Response(200, {"key_id": "1", "key": "k"}))
    with pytest.raises(OperatorNeeded, match="not the scope repo"):
        shop(github, scopes=scopes).check(NAME)


def test_a_classic_token_whose_user_may_not_write_is_told_by_check(github: GitHub) -> None:
    github.repositories["acme/shop"].push = False
    with pytest.raises(OperatorNeeded, match="may not write"):
        shop(github, scopes="workflow, repo").check(NAME)
    shop(github).check(NAME)  # of a GitHub App's token this says nothing


def test_a_classic_token_with_the_scope_will_do(github: GitHub, publication: Publication) -> None:
    place = shop(github, scopes="workflow, repo")
    place.check(NAME)
    place.publish(publication)
    token = github.token(scopes="admin:org")
    opened(f"acme?visibility=all&api={github.url}&token={token}").check(NAME)


def test_an_archived_repository_is_told_by_check(github: GitHub, publication: Publication) -> None:
    github.repositories["acme/shop"].archived = True
    with pytest.raises(OperatorNeeded, match="archived"):
        shop(github).check(NAME)
    with pytest.raises(OperatorNeeded, match="403"):
        shop(github).publish(publication)


# --- when it fails -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["acme/gone?", "acme/shop?environment=gone&", "gone?visibility=all&"])
def test_a_place_that_is_gone_is_not_taken_for_an_empty_one(
    github: GitHub, publication: Publication, target: str
) -> None:
    place = opened(f"{target}api={github.url}&token={github.token(*WRITER, *ORGANISER)}")
    calls: list[Callable[[], object]] = [
        lambda: place.check(NAME),
        lambda: place.publish(publication),
        lambda: place.read_back(NAME, publication.value, "receipt"),
        lambda: place.withdraw(publication),
    ]
    for call in calls:
        with pytest.raises(Refused, match="404") as refused:
            call()
        assert "not there" in refused.value.remedy


@pytest.mark.parametrize(
    ("method", "ending", "family"),
    [("GET", "public-key", Unavailable), ("PUT", NAME, OutcomeUnknown), ("GET", NAME, OutcomeUnknown)],
)
def test_an_answer_that_is_lost(
    github: GitHub, publication: Publication, method: str, ending: str, family: type[RotatorError]
) -> None:
    github.afterwards = on(method, ending, HANG_UP)
    with pytest.raises(RotatorError) as lost:
        shop(github).publish(publication)
    assert type(lost.value) is family
    assert (NAME in github.kept["acme", "shop"]) == (family is OutcomeUnknown)


@pytest.mark.parametrize("status", [500, 502, 503, 429, 403])
def test_nothing_that_the_look_afterwards_meets_says_that_nothing_happened(
    github: GitHub, publication: Publication, status: int
) -> None:
    github.afterwards = on("GET", NAME, Response(status, {}, {"Retry-After": "3"}))
    with pytest.raises(OutcomeUnknown, match="was set"):
        shop(github).publish(publication)


def test_an_answer_to_a_withdrawal_that_is_lost(github: GitHub, publication: Publication) -> None:
    place = shop(github)
    place.publish(publication)
    github.afterwards = on("DELETE", NAME, HANG_UP)
    with pytest.raises(OutcomeUnknown):
        place.withdraw(publication)
    github.afterwards = lambda request, response: response
    place.withdraw(publication)
    assert github.kept["acme", "shop"] == {}


def test_a_secondary_rate_limit_is_waited_for(github: GitHub, publication: Publication) -> None:
    limit = Response(403, {"message": "You have exceeded a secondary rate limit."}, {"Retry-After": "90"})
    github.mishap = lambda request: limit if request.method == "PUT" else None
    with pytest.raises(RateLimited) as limited:
        shop(github).publish(publication)
    assert limited.value.retry_after == timedelta(seconds=90)


def test_a_primary_rate_limit_is_waited_for_until_it_is_reset(github: GitHub, publication: Publication) -> None:
    reset = str(int((github.now + timedelta(minutes=20)).timestamp()))
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    github.mishap = lambda request: Response(403, {"message": "API rate limit exceeded"}, headers)
    with pytest.raises(RateLimited) as limited:
        shop(github).read_back(NAME, publication.value)
    assert limited.value.retry_after == timedelta(minutes=20)


def test_a_renamed_repository_is_told_and_not_followed(github: GitHub, publication: Publication) -> None:
    heard: list[str] = []

    def moved(request: Request) -> Response:
        heard.append(request.path[-1])
        return Response(301, {"message": "Moved Permanently"}, {"Location": f"{github.url}/repositories/1296269"})

    github.mishap = moved
    with pytest.raises(Refused, match="redirect") as refused:
        shop(github).publish(publication)
    assert "renamed" in refused.value.remedy
    assert heard == ["public-key"]


def test_a_key_that_github_replaced_meanwhile_changes_nothing(github: GitHub, publication: Publication) -> None:
    github.afterwards = on(
        "GET", "public-key", Response(200, {"key_id": "old", "key": base64.b64encode(b"k" * 32).decode()})
    )
    with pytest.raises(Refused, match="422"):
        shop(github).publish(publication)
    assert github.kept["acme", "shop"] == {}


@pytest.mark.parametrize("key", ["", "=", "not base64", "c2hvcnQ=", base64.b64encode(b"\0" * 32).decode(), "é" * 44])
def test_a_public_key_that_is_none_is_our_error(github: GitHub, publication: Publication, key: str) -> None:
    github.afterwards = on("GET", "public-key", Response(200, {"key_id": "1", "key": key}))
    with pytest.raises(Broken, match="public key") as broken:
        shop(github).publish(publication)
    assert broken.value.__context__ is None
    assert publication.value.reveal() not in everything_said(broken.value)


def test_every_exception_of_the_sealing_library_is_caught() -> None:
    own = [
        kind for _, kind in inspect.getmembers(exceptions, inspect.isclass) if issubclass(kind, exceptions.CryptoError)
    ]
    builtin = {"AssertionError", "RuntimeError", "TypeError", "ValueError"}
    assert {kind.__name__ for kind in own} == builtin | {
        "BadSignatureError",
        "CryptPrefixError",
        "CryptoError",
        "InvalidkeyError",
        "UnavailableError",
    }


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"<html>", b"\xff" * 64, b'{"updated_at": 5e400}', b"x" * 400_000]
)
@pytest.mark.parametrize("ending", ["public-key", NAME])
def test_whatever_is_answered_is_one_of_our_errors(
    github: GitHub, publication: Publication, ending: str, body: bytes
) -> None:
    github.afterwards = on("GET", ending, Response(200, body))
    with pytest.raises(Unavailable if ending == "public-key" else OutcomeUnknown):
        shop(github).publish(publication)


def test_neither_token_nor_value_is_on_the_wire_in_the_clear_or_in_a_log(
    github: GitHub, publication: Publication, caplog: pytest.LogCaptureFixture
) -> None:
    bodies: list[bytes] = []

    def listen(request: Request) -> None:
        bodies.append(request.body + repr((request.path, request.query)).encode())

    github.mishap = listen
    token = github.token(*WRITER)
    with caplog.at_level(logging.DEBUG):
        place = opened(f"acme/shop?api={github.url}&token={token}")
        place.check(NAME)
        place.publish(publication)
    for secret in (token, publication.value.reveal()):
        assert secret not in caplog.text
        assert secret.encode() not in b"".join(bodies)


def test_a_publication_is_three_questions(github: GitHub, publication: Publication) -> None:
    asked: list[str] = []
    github.mishap = lambda request: asked.append(f"{request.method} {request.path[-1]}")
    shop(github).publish(publication)
    assert asked == ["GET public-key", f"PUT {NAME}", f"GET {NAME}"]
