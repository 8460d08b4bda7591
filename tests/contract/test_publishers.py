"""What every publisher promises, shown for every kind on a real file system and a real Redis or Valkey."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

import pytest
from dotenv import dotenv_values
from redis import Redis

from config.secret import Secret
from tasks.publishers import StoredPublisher, kinds, open_publisher
from tasks.rotation.errors import Broken, Conflict, RotatorError
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

NAME = "OPENROUTER_API_KEY"


@dataclass(frozen=True)
class Place:
    """A destination as its owner sees it, without our code."""

    kind: str
    target: Secret
    credential: str
    """Stands in the target and must never be shown."""
    application_reads: Callable[[], str | None]
    snapshot: Callable[[], object]
    """Everything that could have been changed."""
    spoil: Callable[[], object]
    """Makes the place unusable."""

    def open(self) -> StoredPublisher:
        return open_publisher(self.kind, self.target)


def dotenv_place(tmp_path: Path, redis_url: str) -> Iterator[Place]:
    path = tmp_path / "app.env"
    path.write_text("# the app\nOTHER='kept'\n")

    def spoil() -> None:
        path.unlink()
        path.mkdir()

    yield Place(
        kind="dotenv",
        target=Secret(str(path)),
        credential=token_hex(8),  # a path has none
        application_reads=lambda: dotenv_values(path).get(NAME),
        snapshot=lambda: (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns, list(tmp_path.iterdir())),
        spoil=spoil,
    )


def redis_place(tmp_path: Path, redis_url: str) -> Iterator[Place]:
    key, user, password = f"test:{token_hex(8)}", f"test-{token_hex(4)}", token_hex(16)
    companion = f"{{{key}}}:rotation"
    url = urlsplit(redis_url)
    netloc = f"{user}:{password}@{url.netloc.rpartition('@')[2]}"
    with Redis.from_url(redis_url, decode_responses=True) as owner:
        least = ["+ping", "+select", "+get", "+set", "+publish", "+evalsha", "+script|load"]
        owner.acl_setuser(
            user, enabled=True, passwords=[f"+{password}"], commands=least, keys=[key, companion],
            channels=[f"{key}:rotated"],
        )  # fmt: skip
        yield Place(
            kind="redis",
            target=Secret(url._replace(netloc=netloc, fragment=key).geturl()),
            credential=password,
            application_reads=lambda: owner.get(key),
            snapshot=lambda: [(name, owner.dump(name), owner.pttl(name)) for name in (key, companion)],
            spoil=lambda: owner.delete(key) + owner.hset(key, "not", "a string"),
        )
        owner.delete(key, companion)
        owner.acl_deluser(user)


PLACES = {"dotenv": dotenv_place, "redis": redis_place}


@pytest.fixture(params=sorted(PLACES))
def place(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> Iterator[Place]:
    yield from PLACES[request.param](tmp_path, redis_url)


@pytest.fixture
def publication() -> Publication:
    return Publication(
        rotation_id=token_hex(8), rotation_name="billing", secret_name=NAME, version=1, sequence=10, value=key_text()
    )


def key_text() -> Secret:
    return Secret(f"test-key-{token_hex(16)}")


def test_every_kind_is_in_this_suite() -> None:
    assert set(PLACES) == set(kinds())


def test_check_accepts_a_usable_place_and_changes_nothing(place: Place, publication: Publication) -> None:
    before = place.snapshot()
    place.open().check(NAME)
    assert place.snapshot() == before

    place.open().publish(publication)
    before = place.snapshot()
    place.open().check(NAME)
    assert place.snapshot() == before


def test_a_place_that_was_never_published_to_holds_nothing(place: Place, publication: Publication) -> None:
    assert place.open().read_back(NAME, publication.value) is Holding.NOTHING


def test_what_was_published_is_read_back_and_is_what_applications_read(place: Place, publication: Publication) -> None:
    place.open().publish(publication)
    assert place.open().read_back(NAME, publication.value) is Holding.SAME
    assert place.application_reads() == publication.value.reveal()


def test_another_value_is_told_from_ours(place: Place, publication: Publication) -> None:
    place.open().publish(publication)
    assert place.open().read_back(NAME, key_text()) is Holding.OTHER


def test_publishing_again_changes_nothing(place: Place, publication: Publication) -> None:
    place.open().publish(publication)
    before = place.snapshot()
    place.open().publish(publication)
    assert place.snapshot() == before


def test_the_next_version_replaces_the_last(place: Place, publication: Publication) -> None:
    place.open().publish(publication)
    following = replace(publication, version=2, sequence=11, value=key_text())
    place.open().publish(following)
    assert place.application_reads() == following.value.reveal()


def test_a_stale_worker_is_refused_and_changes_nothing(place: Place, publication: Publication) -> None:
    place.open().publish(publication)
    before = place.snapshot()
    with pytest.raises(Conflict) as refused:
        place.open().publish(replace(publication, version=2, sequence=9, value=key_text()))
    assert place.snapshot() == before
    assert "backup" in refused.value.remedy


def test_the_same_value_under_a_newer_lease_shuts_the_older_lease_out(place: Place, publication: Publication) -> None:
    place.open().publish(publication)
    place.open().publish(replace(publication, sequence=12))
    with pytest.raises(Conflict):
        place.open().publish(replace(publication, sequence=11, value=key_text()))
    assert place.application_reads() == publication.value.reveal()


def test_one_lease_may_publish_more_than_one_version(place: Place, publication: Publication) -> None:
    place.open().publish(publication)
    following = replace(publication, version=2, value=key_text())
    place.open().publish(following)
    assert place.application_reads() == following.value.reveal()


def test_undo_brings_an_older_version_back_under_a_newer_lease(place: Place, publication: Publication) -> None:
    place.open().publish(replace(publication, version=2, value=key_text()))
    place.open().publish(replace(publication, version=1, sequence=11))
    assert place.open().read_back(NAME, publication.value) is Holding.SAME


def test_another_rotation_takes_over_whatever_its_sequence(place: Place, publication: Publication) -> None:
    place.open().publish(publication)
    other = replace(publication, rotation_id=token_hex(8), rotation_name="search", sequence=1, value=key_text())
    place.open().publish(other)
    assert place.application_reads() == other.value.reveal()


@pytest.mark.parametrize("intruder", ["\n", "\r", "\0", "\x1b", "\u2028", "\ud800"])
def test_a_value_that_no_key_contains_is_never_written(place: Place, publication: Publication, intruder: str) -> None:
    before = place.snapshot()
    with pytest.raises(Broken):
        place.open().publish(replace(publication, value=Secret(f"a{intruder}b")))
    assert place.snapshot() == before


def test_a_stored_target_opens_the_same_place(place: Place) -> None:
    stored = place.open().target
    assert open_publisher(place.kind, stored).label == place.open().label
    assert open_publisher(place.kind, stored).target == stored


def test_label_names_kind_and_place_but_no_credential(place: Place) -> None:
    assert place.open().label.startswith(f"{place.kind}:")
    assert place.credential not in place.open().label
    assert place.credential not in repr(place.open())


def test_no_error_says_a_credential_or_a_value(place: Place, publication: Publication) -> None:
    place.open().publish(publication)
    stale = replace(publication, sequence=1)
    unprintable = replace(publication, value=Secret(f"{publication.value.reveal()}\n"))
    errors = [raised(lambda: place.open().publish(stale)), raised(lambda: place.open().publish(unprintable))]
    place.spoil()
    errors += [
        raised(lambda: place.open().check(NAME)),
        raised(lambda: place.open().publish(replace(publication, sequence=99))),
        raised(lambda: place.open().read_back(NAME, publication.value)),
    ]
    for error in errors:
        assert place.credential not in everything_said(error)
        assert publication.value.reveal() not in everything_said(error)
        assert place.open().label in str(error) or isinstance(error, Broken)


def raised(call: Callable[[], object]) -> RotatorError:
    with pytest.raises(RotatorError) as caught:
        call()
    return caught.value


def everything_said(error: BaseException | None) -> str:
    """The error and all that hangs on it, whether a traceback would print it or not."""
    said = []
    while error is not None:
        said += [str(error), repr(error), repr(error.args), repr(vars(error))]
        said += traceback.format_exception(error)
        error = error.__cause__ or error.__context__
    return "\n".join(said)
