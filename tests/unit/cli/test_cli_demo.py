"""The demo's verdict must be able to say no, and its views must show what is there."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from typer.testing import CliRunner

from tasks.operations.views import HistoryView
from tasks.rotation.model import KeyVersion, Reason, VersionState
from tasks.rotation.schedule import make_schedule, refuse_if_too_short
from worker.cli.demo.consumer import Consumption
from worker.cli.demo.lines import Lines
from worker.cli.demo.plan import Plan
from worker.cli.demo.scene import Scene, all_settled, transitions
from worker.cli.demo.screen import paint, paint_verdict
from worker.cli.demo.verdict import EmulatedKey, all_right, emulated_keys, figures

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
PLAN = Plan.of(2, every_s=5)


def _version(number: int, state: VersionState) -> KeyVersion:
    at = NOW + timedelta(seconds=5 * number)
    gone = state is VersionState.DELETED
    return KeyVersion(
        id=f"v{number}",
        rotation_id="r",
        number=number,
        state=state,
        reason=Reason.INITIAL if number == 1 else Reason.SCHEDULED,
        actor="schedule",
        key_hash=f"hash{number}",
        planned_at=at,
        creating_at=at,
        created_at=at,
        proven_at=at,
        active_at=at,
        retiring_at=at + timedelta(seconds=5) if gone else None,
        disabled_at=at + timedelta(seconds=7) if gone else None,
        deleted_at=at + timedelta(seconds=9) if gone else None,
    )


VERSIONS = (_version(1, VersionState.DELETED), _version(2, VersionState.DELETED), _version(3, VersionState.ACTIVE))
KEYS = (
    EmulatedKey("hash1", "deleted", True),
    EmulatedKey("hash2", "deleted", True),
    EmulatedKey("hash3", "live", False),
)
CONSUMED = Consumption(900, 0, "", ("hash1", "hash2", "hash3"))


def test_all_is_right() -> None:
    verdict = figures(PLAN, KEYS, VERSIONS, CONSUMED)
    assert all_right(verdict)
    assert [(f.label, f.value) for f in verdict] == [
        ("rotations", 2),
        ("keys minted", 3),
        ("disabled", 2),
        ("deleted", 2),
        ("live now", 1),
        ("orphans", 0),
        ("consumer calls", 900),
        ("consumer failures", 0),
    ]


@pytest.mark.parametrize(
    ("keys", "versions", "consumed", "wrong"),
    [
        (KEYS, (*VERSIONS[:2], replace(VERSIONS[2], reason=Reason.MANUAL)), CONSUMED, {"rotations"}),
        ((*KEYS, EmulatedKey("hash4", "live", False)), VERSIONS, CONSUMED, {"keys minted", "live now", "orphans"}),
        ((KEYS[0], replace(KEYS[1], was_disabled=False), KEYS[2]), VERSIONS, CONSUMED, {"disabled"}),
        ((KEYS[0], replace(KEYS[1], state="disabled"), KEYS[2]), VERSIONS, CONSUMED, {"deleted"}),
        ((*KEYS[:2], replace(KEYS[2], state="disabled")), VERSIONS, CONSUMED, {"live now"}),
        (KEYS, VERSIONS, replace(CONSUMED, failures=1), {"consumer failures"}),
        (KEYS, VERSIONS, replace(CONSUMED, hashes=("hash1", "hash3")), {"consumer calls"}),
        (KEYS, VERSIONS, Consumption(), {"consumer calls"}),
    ],
)
def test_every_figure_can_be_wrong(
    keys: tuple[EmulatedKey, ...], versions: tuple[KeyVersion, ...], consumed: Consumption, wrong: set[str]
) -> None:
    verdict = figures(PLAN, keys, versions, consumed)
    assert {f.label for f in verdict if not f.right} == wrong


def test_keys_from_the_emulators_own_state() -> None:
    history = [["2026-11-21T03:00:00Z", "created"], ["2026-11-21T03:00:05Z", "disabled"]]
    state = {"keys": [{"hash": "h", "state": "disabled", "history": history, "name": "demo #1"}]}
    assert emulated_keys(state) == (EmulatedKey("h", "disabled", True),)
    with pytest.raises(ValueError, match="no keys"):
        emulated_keys({})


def test_settled_means_one_active_and_all_others_gone() -> None:
    assert all_settled(HistoryView("demo", VERSIONS, ()))
    assert not all_settled(HistoryView("demo", (*VERSIONS, _version(4, VersionState.PLANNED)), ()))
    assert not all_settled(HistoryView("demo", (), ()))


@pytest.mark.parametrize("every_s", [3, 4, 5, 7, 60])
def test_every_plan_is_one_that_the_rules_accept(every_s: int) -> None:
    plan = Plan.of(3, every_s=every_s)
    schedule = make_schedule(every=f"{every_s}s", at=None, cron=None)
    overlap, cooling = timedelta(seconds=plan.overlap_s), timedelta(seconds=plan.cooling_s)
    refuse_if_too_short(schedule, overlap=overlap, cooling=cooling, after=NOW)


def test_transitions_are_told_in_the_order_in_which_they_matter() -> None:
    told = [(t.number, t.state.value) for t in transitions(VERSIONS[:2])]
    assert told.index((2, "active")) < told.index((1, "retiring")) < told.index((1, "disabled"))
    assert len(told) == 16


def _scene(versions: tuple[KeyVersion, ...]) -> Scene:
    return Scene(
        PLAN, NOW, NOW + timedelta(seconds=20), "rotating", (("beat", 12),), None, versions, CONSUMED, (1, 5, 9)
    )


@pytest.mark.parametrize("width", [80, 120])
def test_the_screen_fits_and_shows_each_life(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, record=True)
    retiring = replace(VERSIONS[1], state=VersionState.RETIRING, retire_at=NOW + timedelta(seconds=22))
    console.print(paint(_scene((VERSIONS[0], retiring, VERSIONS[2])), width=min(width, 92)))
    console.print(paint_verdict(figures(PLAN, KEYS, VERSIONS, CONSUMED), took_s=20, width=min(width, 92)))
    text = console.export_text()
    assert "…" not in text
    assert "v1    hash1      ●━●━●━●━●━●━●━◉   deleted" in text
    assert "works, disabled in 2 s" in text
    assert "◂ the consumer's key" in text
    assert "every figure is right · 20 s" in text


def test_the_lines_tell_each_transition_once() -> None:
    lines = Lines()

    def show() -> None:
        lines.show(_scene(VERSIONS[:1]))
        lines.show(_scene(VERSIONS))

    import typer

    app = typer.Typer()
    app.command()(show)
    told = CliRunner().invoke(app, []).stdout
    assert told.count("version 1 is active") == 1
    assert told.count("version 3 is active") == 1
    assert told.splitlines()[0] == "  20.0 s  rotating"
