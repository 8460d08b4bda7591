"""Whether the demo kept its promise: each figure beside what it had to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.rotation.model import KeyVersion, VersionState
from worker.cli.demo.consumer import Consumption
from worker.cli.demo.plan import Plan
from worker.cli.demo.scene import rotations_done


@dataclass(frozen=True, slots=True)
class EmulatedKey:
    """A key as the emulator, which has the truth, remembers it."""

    key_hash: str
    state: str
    """``live``, ``disabled``, ``expired`` or ``deleted``."""
    was_disabled: bool


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the verdict."""

    label: str
    value: int
    right: bool
    told_by: str
    """Whose figure it is, and what it had to be."""


def figures(
    plan: Plan, keys: Sequence[EmulatedKey], versions: Sequence[KeyVersion], consumed: Consumption
) -> tuple[Figure, ...]:
    """The verdict from the emulator's own state, the database and the consumer."""
    minted, n = plan.versions, plan.rotations
    done = rotations_done(versions)
    disabled = sum(key.was_disabled for key in keys)
    deleted = sum(key.state == "deleted" for key in keys)
    live = [key.key_hash for key in keys if key.state == "live"]
    in_service = [v.key_hash for v in versions if v.state is VersionState.ACTIVE]
    recorded = {v.key_hash for v in versions}
    orphans = sum(key.state != "deleted" and key.key_hash not in recorded for key in keys)
    in_turn = list(consumed.hashes) == [v.key_hash for v in sorted(versions, key=lambda v: v.number)]
    return (
        Figure("rotations", done, done == n, f"database: versions 2 to {minted}, by schedule"),
        Figure("keys minted", len(keys), len(keys) == minted, "emulator: version 1 and one for each rotation"),
        Figure("disabled", disabled, disabled == n, "emulator: every replaced key"),
        Figure("deleted", deleted, deleted == n, "emulator: every replaced key, after cooling"),
        Figure("live now", len(live), live == in_service, f"emulator: version {minted}, the one in the file"),
        Figure("orphans", orphans, not orphans, "emulator: keys that the database does not know"),
        Figure(
            "consumer calls", consumed.calls, consumed.calls > 0 and in_turn, "consumer: each version's key in turn"
        ),
        Figure(
            "consumer failures",
            consumed.failures,
            not consumed.failures,
            consumed.last_failure or "consumer: never refused",
        ),
    )


def all_right(verdict: Sequence[Figure]) -> bool:
    """Whether every figure is what it had to be."""
    return all(figure.right for figure in verdict)


def emulated_keys(state: Mapping[str, object]) -> tuple[EmulatedKey, ...]:
    """The keys of the emulator's ``GET /_emulator/state``. Raises ``ValueError`` for what is none."""
    keys = state.get("keys")
    if not isinstance(keys, list):
        raise ValueError("the emulator's state has no keys")
    return tuple(_key(key) for key in keys)


def _key(raw: object) -> EmulatedKey:
    if not isinstance(raw, dict):
        raise ValueError("the emulator's state holds a key that is none")
    told = [what for _, what in raw["history"]]
    return EmulatedKey(str(raw["hash"]), str(raw["state"]), "disabled" in told)
