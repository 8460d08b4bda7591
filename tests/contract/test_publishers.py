"""What every publisher promises, shown for every kind on a real peer: see ``places``."""

from __future__ import annotations

import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

import pytest

from config.secret import Secret
from tasks.publishers import about, kinds, open_publisher
from tasks.publishers._shared.about import options_of
from tasks.rotation.errors import Broken, Conflict, InvalidInput, Occupied, RotatorError
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication
from tests.contract.places.place import NAME, Place, Surroundings, places
from tests.habits.house import TOP

PLACES = places()
OPTIONAL = ["apprise", "azure", "boto3", "google", "hvac", "kubernetes", "nacl", "ruamel", "standardwebhooks"]
"""What only the optional dependencies bring."""


@pytest.fixture(scope="session")
def once() -> Iterator[Callable[[str, Callable[[], AbstractContextManager[object]]], object]]:
    started: dict[str, object] = {}
    with ExitStack() as stack:

        def begin(name: str, start: Callable[[], AbstractContextManager[object]]) -> object:
            if name not in started:
                started[name] = stack.enter_context(start())
            return started[name]

        yield begin


@pytest.fixture(params=sorted(PLACES))
def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    redis_url: str,
    once: Callable[[str, Callable[[], AbstractContextManager[object]]], object],
) -> Iterator[Place]:
    yield from PLACES[request.param](Surroundings(tmp_path, redis_url, once))


@pytest.fixture
def publication() -> Publication:
    return Publication(
        rotation_id=token_hex(8), rotation_name="billing", secret_name=NAME, version=1, sequence=10, value=key_text()
    )


def key_text() -> Secret:
    return Secret(f"test-key-{token_hex(16)}")


@pytest.fixture
def guarded(place: Place, request: pytest.FixtureRequest) -> Place:
    """A place that can itself tell a late worker. The others are named here, with the reason in their kind's text."""
    if not place.refuses_stale:
        request.applymarker(pytest.mark.xfail(reason="the place keeps nothing by which it could tell", strict=True))
    return place


def test_every_kind_is_in_this_suite() -> None:
    assert {place.partition("/")[0] for place in PLACES} == set(kinds())


def test_check_accepts_a_usable_place_and_changes_nothing(place: Place, publication: Publication) -> None:
    before = place.snapshot()
    place.open().check(NAME)
    assert place.snapshot() == before

    place.open().publish(publication)
    before = place.snapshot()
    place.open().check(NAME)
    assert place.snapshot() == before


def test_a_place_that_was_never_published_to_holds_nothing(place: Place, publication: Publication) -> None:
    assert place.open().read_back(NAME, publication.value, None) is not Holding.SAME
    assert place.application_reads() is None


def test_what_was_published_is_read_back_and_is_what_applications_read(place: Place, publication: Publication) -> None:
    receipt = place.open().publish(publication)
    assert place.open().read_back(NAME, publication.value, receipt) is Holding.SAME
    assert place.application_reads() == place.as_read(publication)


def test_another_value_is_told_from_ours(place: Place, publication: Publication) -> None:
    receipt = place.open().publish(publication)
    assert place.open().read_back(NAME, key_text(), receipt) is Holding.OTHER


def test_what_somebody_else_wrote_is_told_from_ours(place: Place, publication: Publication) -> None:
    receipt = place.open().publish(publication)
    place.overwrite(key_text().reveal())
    assert place.open().read_back(NAME, publication.value, receipt) is (
        Holding.OTHER if place.tells_drift else Holding.SAME
    )


def test_what_somebody_else_took_away_is_missed(place: Place, publication: Publication) -> None:
    receipt = place.open().publish(publication)
    place.empty()
    assert (place.open().read_back(NAME, publication.value, receipt) is Holding.SAME) != place.tells_drift


def test_what_drifted_is_put_right_by_publishing_again(place: Place, publication: Publication) -> None:
    place.open().publish(publication)
    drifts: tuple[Callable[[], object], ...] = (lambda: place.overwrite(key_text().reveal()), place.empty)
    for drift in drifts:
        drift()
        receipt = place.open().publish(replace(publication, sequence=11))
        assert place.application_reads() == place.as_read(publication)
        assert place.open().read_back(NAME, publication.value, receipt) is Holding.SAME


def test_a_receipt_is_short_and_holds_no_key(place: Place, publication: Publication) -> None:
    receipt = place.open().publish(publication)
    assert (receipt is None) == place.shows_values
    assert receipt is None or (len(receipt) <= 200 and receipt.isprintable())
    assert publication.value.reveal() not in (receipt or "")


def test_the_version_stands_beside_the_value(place: Place, publication: Publication) -> None:
    place.open().publish(replace(publication, version=7))
    assert place.stamped() in {None, "7"}


def test_publishing_again_changes_nothing(place: Place, publication: Publication) -> None:
    place.open().publish(publication)
    before = place.snapshot()
    place.open().publish(publication)
    assert not place.shows_values or place.snapshot() == before


def test_what_is_withdrawn_is_gone_and_may_be_withdrawn_again(place: Place, publication: Publication) -> None:
    place.open().publish(publication)
    for _ in range(2):
        place.open().withdraw(publication)
        assert place.application_reads() is None


def test_a_withdrawal_leaves_alone_what_is_not_ours(place: Place, publication: Publication) -> None:
    place.open().publish(replace(publication, rotation_id=token_hex(8)))
    before = place.application_reads()
    if place.refuses_stale:
        place.open().withdraw(replace(publication, value=key_text()))
        assert place.application_reads() == before


def test_a_place_that_was_withdrawn_can_be_published_to(place: Place, publication: Publication) -> None:
    place.open().publish(publication)
    place.open().withdraw(publication)
    place.open().publish(replace(publication, sequence=11))
    assert place.application_reads() == place.as_read(publication)


def test_the_next_version_replaces_the_last(place: Place, publication: Publication) -> None:
    place.open().publish(publication)
    following = replace(publication, version=2, sequence=11, value=key_text())
    place.open().publish(following)
    assert place.application_reads() == place.as_read(following)


def test_a_stale_worker_is_refused_and_changes_nothing(guarded: Place, publication: Publication) -> None:
    place = guarded
    place.open().publish(publication)
    before = place.snapshot()
    with pytest.raises(Conflict) as refused:
        place.open().publish(replace(publication, version=2, sequence=9, value=key_text()))
    assert place.snapshot() == before
    assert "backup" in refused.value.remedy


def test_the_same_value_under_a_newer_lease_shuts_the_older_lease_out(guarded: Place, publication: Publication) -> None:
    place = guarded
    place.open().publish(publication)
    place.open().publish(replace(publication, sequence=12))
    with pytest.raises(Conflict):
        place.open().publish(replace(publication, sequence=11, value=key_text()))
    assert place.application_reads() == place.as_read(publication)


def test_one_lease_may_publish_more_than_one_version(place: Place, publication: Publication) -> None:
    place.open().publish(publication)
    following = replace(publication, version=2, value=key_text())
    place.open().publish(following)
    assert place.application_reads() == place.as_read(following)


def test_undo_brings_an_older_version_back_under_a_newer_lease(place: Place, publication: Publication) -> None:
    place.open().publish(replace(publication, version=2, value=key_text()))
    receipt = place.open().publish(replace(publication, version=1, sequence=11))
    assert place.open().read_back(NAME, publication.value, receipt) is Holding.SAME


@pytest.mark.parametrize("sequence", [1, 99])
@pytest.mark.parametrize("heir", [True, False], ids=["heir", "withdrawn"])
def test_another_rotation_is_refused_until_what_is_there_was_withdrawn_or_is_an_heir_s(
    place: Place, publication: Publication, sequence: int, *, heir: bool
) -> None:
    """They would replace each other's key for ever. A place without a stamp cannot tell."""
    place.open().publish(publication)
    other = replace(publication, rotation_id=token_hex(8), rotation_name="search", sequence=sequence, value=key_text())
    if place.tells_strangers:
        before = place.snapshot()
        with pytest.raises(Conflict, match="another rotation") as refused:
            place.open().publish(other)
        assert place.snapshot() == before
        assert "--withdraw" in refused.value.remedy
        assert isinstance(refused.value, Occupied)
        assert refused.value.rotation_id == publication.rotation_id
        if heir:
            other = replace(other, heir_of=publication.rotation_id)
        else:
            place.open().withdraw(publication)
    place.open().publish(other)
    place.open().publish(replace(other, heir_of=None))
    assert place.application_reads() == place.as_read(other)


def test_a_withdrawal_leaves_what_somebody_else_put_there(place: Place, publication: Publication) -> None:
    place.open().publish(publication)
    theirs = key_text().reveal()
    place.overwrite(theirs)
    place.open().withdraw(publication)
    assert (place.application_reads() == theirs) == place.spares_others


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
    errors = [raised(lambda: place.open().publish(unprintable))]
    if place.refuses_stale:
        errors.append(raised(lambda: place.open().publish(stale)))
    place.spoil()
    errors += [
        raised(lambda: place.open().check(NAME)),
        raised(lambda: place.open().publish(replace(publication, sequence=99))),
        raised(lambda: place.open().withdraw(replace(publication, sequence=99))),
    ]
    if place.shows_values:
        errors.append(raised(lambda: place.open().read_back(NAME, publication.value)))
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


@pytest.mark.parametrize("kind", kinds())
def test_an_example_can_be_opened_and_uses_options_that_exist(kind: str) -> None:
    told = about(kind)
    prefix, _, target = told.example.partition(":")
    assert prefix == kind
    assert open_publisher(kind, Secret(target)).label.startswith(f"{kind}:")
    assert options_of(told).keys() <= told.options.model_fields.keys()


@pytest.mark.parametrize("kind", kinds())
def test_an_unknown_option_is_refused_with_the_known_ones(kind: str) -> None:
    target = about(kind).example.partition(":")[2].partition("#")
    joined = "&" if "?" in target[0] else "?"
    with pytest.raises(InvalidInput) as refused:
        open_publisher(kind, Secret(f"{target[0]}{joined}colour=blue{target[1]}{target[2]}"))
    assert all(option in str(refused.value) for option in options_of(about(kind)))
    assert "colour" not in str(refused.value)


@pytest.mark.parametrize("kind", kinds())
def test_a_kind_is_known_and_its_target_understood_without_its_client(kind: str) -> None:
    """In a new process, where nothing outside the base installation can be imported."""
    program = (
        "import sys, importlib.util as u\n"
        f"OPTIONAL = {OPTIONAL!r}\n"
        "class Refusing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in OPTIONAL or name in OPTIONAL:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Refusing())\n"
        "from config.secret import Secret\n"
        "from tasks.publishers import about, open_publisher\n"
        "from tasks.rotation.errors import OperatorNeeded\n"
        "kind = sys.argv[1]\n"
        "place = open_publisher(kind, Secret(about(kind).example.partition(':')[2]))\n"
        "if about(kind).extra:\n"
        "    try:\n"
        "        place.check('OPENROUTER_API_KEY')\n"
        "    except OperatorNeeded as error:\n"
        "        print(error.remedy)\n"
    )
    said = subprocess.run([sys.executable, "-c", program, kind], capture_output=True, text=True, check=True, cwd=TOP)
    extra = about(kind).extra
    assert said.stdout.strip().endswith(f"pip install 'openrouter-rotator[{extra}]'" if extra else "")
