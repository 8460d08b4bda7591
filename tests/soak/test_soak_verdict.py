"""The soak's verdict sees each fault that it is there to see."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.leaks.hunt import Hunt
from tests.soak.applications import Application, Tally
from tests.soak.chaos import Struck
from tests.soak.facts import Facts, Key, Told, Version
from tests.soak.ledger import longest_by_kind, longest_stall, recoveries
from tests.soak.plant import Place
from tests.soak.report import Memory, Report
from tests.soak.searching import PLACES, unsearched
from tests.soak.verdict_at_rest import Figures, judge

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD, NEW, LOST, STRANGER = "a" * 64, "b" * 64, "c" * 64, "d" * 64
FILE = Place("web", "dotenv", "/published/web.env")
STRAIGHT = ("planned", "creating", "created", "proven", "active", "retiring", "disabled", "deleted")


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def key(key_hash: str, name: str, **history: float) -> Key:
    """Minted at 0; ``history`` is when it was disabled, enabled or deleted."""
    done = (("created", 0.0), *history.items())
    state = {"deleted": "deleted", "disabled": "disabled"}.get(done[-1][0], "live")
    return Key(key_hash, name, state, tuple((at(seconds), what) for what, seconds in done))


def told(number: int, *states: str) -> tuple[Told, ...]:
    return tuple(Told("web", number, f"version_{state}") for state in states)


def version(number: int, state: str, key_hash: str | None, marker: str, **more: float) -> Version:
    moments = {name: at(seconds) for name, seconds in more.items()}
    return Version(
        "web", number, state, marker, key_hash, state != "deleted", moments.get("active_at"), moments.get("retire_at")
    )


@pytest.fixture
def well() -> Facts:
    """One rotation at rest: a version that was retired, one that nobody ever confirmed, and one in service."""
    return Facts(
        keys=(
            key(OLD, "web #1-000000000001", disabled=20.0, deleted=30.0),
            key(LOST, "web #2-000000000002", deleted=12.0),
            key(NEW, "web #3-000000000003"),
            key(STRANGER, "web"),
        ),
        strangers=frozenset({STRANGER}),
        counters={"web": 3},
        versions=(
            version(1, "deleted", OLD, "000000000001", active_at=1, retire_at=18),
            version(2, "deleted", None, "000000000002"),
            version(3, "active", NEW, "000000000003", active_at=12),
        ),
        events=(
            *told(1, *STRAIGHT),
            *told(2, "planned", "creating", "abandoned", "deleted"),
            *told(3, "planned", "creating"),
            Told("web", 3, "mint_failed"),
            *told(3, "creating", "created", "proven", "active"),
        ),
        held={FILE: NEW},
    )


def test_all_is_well_when_all_is_well(well: Facts) -> None:
    figures = judge(well)
    assert figures.wrong == ()
    assert (figures.minted, figures.deleted, figures.live, figures.between) == (3, 2, 1, 0)
    assert (figures.orphans, figures.lost_versions, figures.completed) == (0, 0, 1)
    assert figures.balanced


def _with_key(facts: Facts, number: int, fresh: Key) -> Facts:
    return replace(facts, keys=tuple(fresh if n == number else k for n, k in enumerate(facts.keys)))


def _with_version(facts: Facts, number: int, **change: object) -> Facts:
    changed = (replace(v, **change) if v.number == number else v for v in facts.versions)  # type: ignore[arg-type]  # by name
    return replace(facts, versions=tuple(changed))


FAULTS: dict[str, tuple[Callable[[Facts], Facts], str]] = {
    "an abandoned create left a key": (lambda f: _with_key(f, 1, key(LOST, "web #2-000000000002")), "orphan: "),
    "a key was forgotten, and is disabled": (
        lambda f: _with_key(f, 0, key(OLD, "web #1-000000000001", disabled=20.0)),
        "orphan: ",
    ),
    "a row is gone": (lambda f: replace(f, versions=f.versions[1:]), "lost version: web 1 of 3"),
    "a row is too many": (lambda f: replace(f, counters={"web": 2}), "lost version: web 3 of 2"),
    "a key of which nothing tells": (
        lambda f: replace(f, keys=(*f.keys, key("e" * 64, "web #9-00000000000e", deleted=3.0))),
        "lost version: nothing tells of key",
    ),
    "something is still to do": (lambda f: _with_version(f, 1, state="disabled"), "not at rest: web 1 is disabled"),
    "a dead key's text was kept": (lambda f: _with_version(f, 1, has_key=True), "kept text: web 1"),
    "two are active": (lambda f: _with_version(f, 1, state="active"), "active versions: web has 2"),
    "none is active": (lambda f: _with_version(f, 3, state="deleted"), "active versions: web has 0"),
    "the active key is dead": (
        lambda f: _with_key(f, 2, key(NEW, "web #3-000000000003", deleted=40.0)),
        "dead key: web 3",
    ),
    "a place holds an old key": (lambda f: replace(f, held={FILE: OLD}), "wrong key: dotenv of web holds aaaa"),
    "a place holds none": (lambda f: replace(f, held={FILE: None}), "wrong key: dotenv of web holds None"),
    "a stranger was disabled and enabled": (
        lambda f: _with_key(f, 3, key(STRANGER, "web", disabled=2.0, enabled=3.0)),
        "not ours: web was changed",
    ),
    "a key died before its overlap was over": (
        lambda f: _with_key(f, 0, key(OLD, "web #1-000000000001", disabled=17.9, deleted=30.0)),
        "early: web 1",
    ),
    "a key that was never replaced died": (lambda f: _with_version(f, 1, retire_at=None), "early: web 1"),
    "a create was repeated": (
        lambda f: replace(f, keys=(*f.keys, key("e" * 64, "web #3-000000000003", deleted=30.0))),
        "repeated create: 2 keys carry 000000000003",
    ),
    "the log has a gap": (
        lambda f: replace(f, events=tuple(e for e in f.events if e.name != "version_proven")),
        "history: web 1 is deleted, its events say that it went from created to active",
    ),
    "the log ends too early": (lambda f: replace(f, events=f.events[:-1]), "history: web 3 is active, its events say"),
    "the log says nothing": (
        lambda f: replace(f, events=tuple(e for e in f.events if e.number != 2)),
        "history: web 2 is deleted, its events say nothing",
    ),
    "the log begins in the middle": (lambda f: replace(f, events=f.events[1:]), "its events say that it began as"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_verdict_sees_that(name: str, well: Facts) -> None:
    breaking, expected = FAULTS[name]
    wrong = judge(breaking(well)).wrong
    assert any(line.startswith(expected) or expected in line for line in wrong), wrong


def test_a_key_left_disabled_unbalances_the_account(well: Facts) -> None:
    figures = judge(_with_key(well, 0, key(OLD, "web #1-000000000001", disabled=20.0)))
    assert (figures.between, figures.balanced) == (1, False)


# --- the applications ------------------------------------------------------------------------------------------


class _Answering(Application):
    """An application whose calls are answered with a given status."""

    status: int | None = 200

    def _status(self, key: str) -> int | None:
        return self.status


def _used(held: list[str | None], status: int | None, *, overlap_s: float = 60.0) -> Tally:
    values = iter(held)
    application = _Answering("http://127.0.0.1:1/api/v1", [("place", lambda: next(values))], overlap_s)
    application.status = status
    for _ in held:
        application._use(*application._readers[0])
    return application.tally


def test_a_key_that_is_accepted_is_a_call() -> None:
    assert _used(["k", "k"], 200) == Tally(calls=2)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_just_read_that_is_refused_is_a_failure_told_without_its_text(status: int) -> None:
    tally = _used(["secret-text"], status)
    assert tally.refused == 1
    assert "secret-text" not in str(tally.failures)
    assert hashlib.sha256(b"secret-text").hexdigest() in tally.failures[0]


def test_a_place_that_held_a_key_and_holds_none_is_a_failure() -> None:
    assert _used([None, "k", None, ""], 200).emptied == 2


@pytest.mark.parametrize("status", [None, 500])
def test_a_call_that_is_not_answered_is_a_failure_of_its_own(status: int | None) -> None:
    assert (_used(["k"], status).unanswered, len(_used(["k"], status).failures)) == (1, 1)


def test_a_key_that_was_held_longer_than_the_overlap_is_counted_apart() -> None:
    tally = _used(["k"], 401, overlap_s=-1.0)
    assert (tally.too_slow, tally.refused) == (1, 0)


# --- the measures ----------------------------------------------------------------------------------------------


def test_only_what_was_begun_after_a_disturbance_shows_that_it_was_recovered_from() -> None:
    first, last = Struck("kill", 10.0), Struck("kill", 30.0)
    found = recoveries([first, last], [("a", 9.0, 11.0), ("b", 12.0, 15.5), ("c", 13.0, 14.0)])
    assert found == {first: 4.0, last: None}
    assert longest_by_kind(found) == {"kill": 4.0}


def test_the_longest_stall_counts_until_the_calm() -> None:
    moments = [("a", 0.0, 1.0), ("a", 2.0, 4.0), ("b", 0.0, 2.0), ("a", 30.0, 31.0)]
    assert longest_stall(moments, ended_at=12.0) == 10.0


@pytest.mark.parametrize(
    ("end_mb", "apart_s", "ours", "flat"),
    [
        (110.0, 400.0, True, True),
        (140.0, 400.0, True, False),
        (140.0, 60.0, True, None),
        (140.0, 400.0, False, None),
    ],
)
def test_memory_is_flat_within_a_tenth_and_a_little(
    end_mb: float, apart_s: float, ours: bool, flat: bool | None
) -> None:
    assert Memory(100.0, end_mb, apart_s, ours).flat is flat


GOOD = Report(
    seed=1,
    minutes=10.0,
    rotations=1,
    figures=Figures(minted=3, deleted=2, live=1, between=0, orphans=0, lost_versions=0, completed=1, wrong=()),
    tally=Tally(calls=10, rounds=2),
    disturbances={"kill": 1},
    faults=1,
    management_calls=10,
    recoveries={"kill": 1.5},
    unrecovered=0,
    longest_stall_s=3.0,
    rest_s=4.0,
    orphans_before_reconcile=0,
    reconciled=True,
    attention=0,
    leaks=(),
    searched={"logs": 100},
    blind=(),
    memory={"worker-1": Memory(100.0, 101.0, 400.0, ours=True)},
    memory_series={"worker-1": [(5, 100, 5)]},
)


def test_a_good_report_has_no_failure_and_shows_its_figures(tmp_path: Path) -> None:
    assert GOOD.failures == ()
    assert "2 + 1  = deleted + live" in GOOD.table()
    GOOD.write(tmp_path / "build" / "soak.json")
    written = json.loads((tmp_path / "build" / "soak.json").read_text())
    assert (written["good"], written["figures"]["minted"]) == (True, 3)


@pytest.mark.parametrize(
    "change",
    [
        {"figures": replace(GOOD.figures, wrong=("orphan: x",))},
        {"figures": replace(GOOD.figures, minted=4)},
        {"tally": Tally(calls=10, rounds=2, refused=1)},
        {"tally": Tally(calls=10, rounds=2, emptied=1)},
        {"tally": Tally(calls=10, rounds=2, unanswered=1)},
        {"tally": Tally(rounds=2)},
        {"tally": Tally(calls=10)},
        {"rest_s": None},
        {"orphans_before_reconcile": 1},
        {"reconciled": False},
        {"unrecovered": 1},
        {"leaks": ("logs: canary 1",)},
        {"blind": ("traffic",)},
        {"memory": {"worker-1": Memory(100.0, 200.0, 400.0, ours=True)}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_must_be_none_fails_the_soak(change: dict[str, object]) -> None:
    assert replace(GOOD, **change).failures != ()  # type: ignore[arg-type]  # by name


def test_a_place_that_was_empty_was_not_searched() -> None:
    hunt = Hunt("CANARY-of-a-test")
    assert set(unsearched(hunt)) == set(PLACES)
    hunt.look("logs/worker-1.log", "a line")
    hunt.look("passing/traffic", "")
    assert set(PLACES) - set(unsearched(hunt)) == {"logs/worker-1"}
