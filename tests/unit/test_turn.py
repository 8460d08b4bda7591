"""What a step may rely on while it works, and what its failure means for the whole connection."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tasks.rotation.checking import in_service
from tasks.rotation.errors import Broken, DestinationBusy, RateLimited, RotatorError, Unavailable
from tasks.rotation.model import KeyVersion, Reason, VersionState
from tasks.rotation.policy import Policy
from tasks.rotation.ports import Lease
from tasks.rotation.turn import Turn, World, hash_of
from tests.steered.clock import START
from tests.steered.installation import Installation

MINUTE = timedelta(minutes=1)


@pytest.fixture
def turn(installation: Installation) -> Turn:
    """A turn of a rotation with an active version."""
    installation.create()
    installation.tick()
    rotator = installation.rotator
    world = World(
        store=rotator.store.leased,
        provider=rotator.provider_called,
        publisher=lambda _kind, _id: pytest.fail("nothing is published here"),
        policy=Policy(),
        ids=rotator.ids,
        actor="worker",
        log=installation.log.info,
        monotonic_s=installation.clock.monotonic,
    )
    lease = Lease(installation.rotation_ids["web"], "worker", 1, 0.0)
    return Turn(world, lease, installation.snapshot(), installation.clock.monotonic())


def test_only_an_active_version_whose_key_is_stored_is_in_service(turn: Turn) -> None:
    active = in_service(turn)
    assert active.state is VersionState.ACTIVE
    for versions in ((), (replace(active, has_key=False),)):
        with pytest.raises(Broken, match="nothing may be retired"):
            in_service(replace(turn, snapshot=replace(turn.snapshot, versions=versions)))


def test_a_version_that_was_never_created_has_no_hash() -> None:
    version = KeyVersion("v", "r", 3, VersionState.PLANNED, Reason.MANUAL, "a")
    with pytest.raises(Broken, match="version 3 is planned and has no hash"):
        hash_of(version)
    assert hash_of(replace(version, key_hash="abc")) == "abc"


@pytest.mark.parametrize(
    ("error", "step", "paused"),
    [
        (RateLimited("slow down", retry_after=MINUTE), "mint", MINUTE),
        (Unavailable("later", retry_after=MINUTE), "disable", MINUTE),
        (DestinationBusy("slow down", retry_after=MINUTE), "disable", None),
        (Unavailable("later"), "mint", None),
        (Broken("no"), "mint", None),
    ],
)
def test_a_wait_that_the_provider_asks_for_is_the_connections(
    turn: Turn, error: RotatorError, step: str, paused: timedelta | None
) -> None:
    change = turn.failure(in_service(turn), error, step=step)
    assert change.pause_connection_until == (None if paused is None else START + paused)
    assert [e.name for e in change.events] == [f"{step}_failed"]


def test_a_limit_without_a_time_pauses_the_connection_until_the_next_attempt(turn: Turn) -> None:
    change = turn.failure(in_service(turn), RateLimited("slow down"), step="prove")
    assert change.pause_connection_until == change.versions[0][1].attempt.next_at
    assert change.pause_connection_until is not None


def test_what_ends_a_process_is_no_answer_of_the_work(turn: Turn) -> None:
    stopping = replace(turn, world=replace(turn.world, stop_on=(TimeoutError,)))

    def stop() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        stopping.tried(stop)
    assert isinstance(turn.tried(stop), Broken)
