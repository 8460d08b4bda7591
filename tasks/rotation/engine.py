"""The shell: takes the lease, asks the policy for the next step, performs it, commits, and goes on.

What must never happen is prevented by order: the intention is committed before an irreversible call and its
result after it; the lease is made to outlast each call; the destinations are read back before a key dies; and
whoever lost the lease commits nothing and removes the key that it minted meanwhile.

OpenRouter calls of a plain rotation, from the new key's mint to the old key's end: create, prove, one look for
what is bound to the old key, disable, delete.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, assert_never

from tasks.rotation import checking, delivering, minting, proving, retiring, withdrawing
from tasks.rotation import policy as decide
from tasks.rotation.errors import LeaseLost, Overtaken, RotatorError
from tasks.rotation.machine import together
from tasks.rotation.model import KeyVersion
from tasks.rotation.ports import Lease
from tasks.rotation.turn import Turn, World, unexpected

_STEPS_MOST: Final = 40
"""Steps of one advance, so that no rotation keeps a worker to itself."""
_LASTS_MOST: Final = timedelta(seconds=90)
"""After so long an advance begins no further step, for the same reason; a worker's task has time for one more."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """What one advance came to. ``acquired`` is False when another worker has the rotation."""

    acquired: bool
    wake_at: datetime | None = None


class Engine:
    """``advance`` does everything that a rotation needs; any number of processes may call it at once."""

    def __init__(self, world: World) -> None:
        self._world = world

    def advance(self, rotation_id: str) -> Advanced:
        """Do all that may be done for this rotation now, then set its alarm.

        Safe to call at any time, twice, or from many processes. Raises ``Unavailable`` when the database cannot
        be reached; then nothing is lost, and the lease runs out by itself.
        """
        lease = self._world.store.take_lease(rotation_id, self._world.actor)
        if lease is None:
            return Advanced(acquired=False)
        try:
            return self._until_rest(lease)
        except LeaseLost as lost:
            self._world.log("lease_lost", rotation_id=rotation_id, why=lost.message)
            return Advanced(acquired=False)

    def _until_rest(self, lease: Lease) -> Advanced:
        store, steps, began_s = self._world.store, 0, self._world.monotonic_s()
        while True:
            snapshot, read_at_s = store.load(lease), self._world.monotonic_s()
            step = decide.next_step(snapshot, self._world.policy)
            if steps >= _STEPS_MOST or read_at_s - began_s >= _LASTS_MOST.total_seconds():
                step = decide.Wait(snapshot.now)
            if not isinstance(step, decide.Wait):
                steps += 1
                with suppress(Overtaken):
                    _perform(Turn(self._world, lease, snapshot, read_at_s), step)
            elif store.release_lease(lease, wake_at=step.until, seen_revision=snapshot.revision):
                return Advanced(acquired=True, wake_at=step.until)


def _perform(turn: Turn, step: decide.Work) -> None:
    """One step. What goes wrong is stored on the version that it was about, with the time of the next attempt."""
    try:
        _dispatch(turn, step)
    except (LeaseLost, Overtaken):
        raise
    except turn.world.stop_on:
        raise
    except RotatorError as error:
        _failed(turn, step, error)
    except Exception as error:  # noqa: BLE001  # a bug in one step must cost its rotation a retry, not the worker
        _failed(turn, step, unexpected(error, _name(step)))


def _dispatch(turn: Turn, step: decide.Work) -> None:
    match step:
        case decide.Plan():
            minting.plan(turn)
        case decide.Mint(version):
            minting.mint(turn, version)
        case decide.Abandon(version, why):
            minting.abandon(turn, version, why)
        case decide.Look(version):
            minting.look(turn, version)
        case decide.Prove(version):
            proving.prove(turn, version)
        case decide.Deliver(version, destinations):
            delivering.deliver(turn, version, destinations)
        case decide.Check(version, destinations):
            checking.check(turn, version, destinations)
        case decide.Withdraw(destination):
            withdrawing.withdraw(turn, destination)
        case decide.Disable(version):
            retiring.disable(turn, version)
        case decide.Delete(version):
            retiring.delete(turn, version)
        case decide.Finish():
            retiring.finish(turn)
        case _:
            assert_never(step)


def _failed(turn: Turn, step: decide.Work, error: RotatorError) -> None:
    version = getattr(step, "version", None)
    if not isinstance(version, KeyVersion):
        raise error
    turn = turn.later()
    failure = turn.failure(version, error, step=_name(step))
    if isinstance(step, decide.Deliver):
        failure = together(failure, delivering.put_off(turn, version, step.destinations, error))
    if isinstance(step, decide.Check):  # the version itself is well
        failure = together(replace(failure, versions=()), checking.put_off(turn, step.destinations, error))
    turn.commit(failure)


def _name(step: decide.Work) -> str:
    return type(step).__name__.lower()
