"""A worker may be killed at any moment: the next one carries on from the row, and nothing is lost on the way.

The calls that a worker makes are not listed here but recorded from a life that nobody disturbs, so that a step
which is added later is killed here too. Nothing outlives a process but what its calls changed: to die before a call
is to die after the one before it. So one life is ended before each of its calls and after the last, the others
after each call that changes something.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from tasks.operations.requests import RotationUpdate
from tasks.rotation.model import Removal, VersionState
from tests.steered.installation import CONNECTION, Installation, Template, copied
from tests.steered.taps import Side, changes_something
from tests.steered.truth import Truth

Life = Callable[[Installation, Truth], None]


def _plain(installation: Installation, truth: Truth) -> None:
    """From the first version's mint to its death, by way of its successor, with things bound to it."""
    installation.create()
    installation.run_until_rest()
    installation.bind(str(installation.active().key_hash))
    installation.operations.rotate("web")
    installation.run_until_rest()


def _with_a_lost_reply(installation: Installation, truth: Truth) -> None:
    installation.fail("lost_reply", "POST", "/keys", times=1)
    installation.operations.reconcile(CONNECTION)
    installation.create()
    installation.run_until_rest()


def _with_an_undo(installation: Installation, truth: Truth) -> None:
    installation.operations.reconcile(CONNECTION)
    installation.create()
    installation.run_until_rest()
    installation.operations.rotate("web")
    installation.run_until(VersionState.DISABLED)
    installation.operations.undo("web")
    installation.run_until_rest()


def _with_an_emergency(installation: Installation, truth: Truth) -> None:
    installation.operations.reconcile(CONNECTION)
    installation.create()
    installation.run_until_rest()
    installation.operations.rotate("web")
    installation.run_until(VersionState.RETIRING)
    installation.operations.rotate("web", emergency=True)
    installation.run_until_rest()


def _with_two_destinations_and_drift(installation: Installation, truth: Truth) -> None:
    installation.operations.reconcile(CONNECTION)
    installation.create(files=("app.env", "job.env"))
    installation.run_until_rest()
    installation.operations.rotate("web")
    installation.run_until(VersionState.RETIRING)
    drifted = installation.file("job.env")
    truth.excused.add(drifted)
    drifted.write_text(drifted.read_text() + "\nOPENROUTER_API_KEY=somebody-else\n")
    installation.run_until_rest()
    truth.excused.clear()


def _removed(installation: Installation, truth: Truth) -> None:
    installation.operations.reconcile(CONNECTION)
    installation.create()
    installation.run_until_rest()
    installation.operations.rotate("web")
    installation.run_until(VersionState.RETIRING)
    installation.operations.delete_rotation("web", Removal.REVOKE_KEYS)
    installation.run_until_rest()


def _moved_to_another_file(installation: Installation, truth: Truth) -> None:
    installation.operations.reconcile(CONNECTION)
    installation.create()
    installation.run_until_rest()
    installation.operations.update_rotation("web", RotationUpdate(add_publish=(installation.destination("job.env"),)))
    installation.run_until_rest()


_PARTS: Final = 4
"""Of the plain life's deaths, so that no test takes long."""
LIVES: Final[Mapping[str, Life]] = {
    "lost reply": _with_a_lost_reply,
    "undo": _with_an_undo,
    "emergency": _with_an_emergency,
    "drift": _with_two_destinations_and_drift,
    "removal": _removed,
    "new destination": _moved_to_another_file,
}


def _recorded(life: Life, template: Template, folder: Path) -> list[str]:
    """The calls of a life that nobody disturbs."""
    with copied(template, folder, settle_s=60) as installation:
        truth = Truth(installation)
        life(installation, truth)
        truth.check_rest()
        assert installation.deaths == 0
        return installation.tap.names


def _live_and_die(life: Life, template: Template, folder: Path, number: int, side: Side) -> None:
    with copied(template, folder, settle_s=60) as installation:
        truth = Truth(installation)
        installation.tap.kill(number, side)
        life(installation, truth)
        assert installation.deaths == 1
        truth.check_rest()


@pytest.mark.parametrize("part", range(_PARTS))
def test_a_plain_life_survives_a_death_at_every_call(
    template: Template, tmp_path: Path, subtests: pytest.Subtests, part: int
) -> None:
    names = _recorded(_plain, template, tmp_path / "undisturbed")
    deaths = [(number, Side.BEFORE) for number in range(1, len(names) + 1)] + [(len(names), Side.AFTER)]
    for number, side in deaths[part::_PARTS]:
        with subtests.test(f"{side.value} call {number}, {names[number - 1]}"):
            _live_and_die(_plain, template, tmp_path / f"{number}-{side.value}", number, side)


@pytest.mark.parametrize("kind", LIVES)
def test_other_lives_survive_a_death_at_every_change(
    template: Template, tmp_path: Path, subtests: pytest.Subtests, kind: str
) -> None:
    names = _recorded(LIVES[kind], template, tmp_path / "undisturbed")
    for number, name in enumerate(names, start=1):
        if changes_something(name):
            with subtests.test(f"after call {number}, {name}"):
                _live_and_die(LIVES[kind], template, tmp_path / str(number), number, Side.AFTER)
