"""A create whose outcome is unknown is searched for and removed, whoever dies and whenever it lands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest

from tasks.rotation.errors import Unavailable
from tasks.rotation.model import VersionState
from tests.steered.clock import START
from tests.steered.installation import Installation
from tests.steered.taps import Killed, Passing, Side
from tests.steered.truth import Truth

MINUTE = timedelta(minutes=1)
LEASE = timedelta(seconds=90)
SETTLE = timedelta(minutes=15)


def _calls(installation: Installation, method: str, path: str) -> int:
    return installation.asked().count(f"{method} {path}")


@pytest.mark.parametrize("kind", ["lost_reply", "malformed", "truncated", "wrong_type", "empty"])
def test_a_key_whose_reply_was_lost_is_removed_before_another_is_minted(
    installation: Installation, truth: Truth, kind: str
) -> None:
    installation.fail(kind, "POST", "/keys", times=1)
    installation.create()
    installation.run_until(VersionState.ACTIVE)
    changes = [call.split("/")[0] for call in installation.asked() if not call.startswith("GET")]
    assert changes == ["POST ", "DELETE ", "POST "]
    installation.run_until_rest()
    assert installation.states() == {"web": ["deleted", "active"]}
    assert installation.version("web", 1).deleted_at == START + SETTLE
    assert "orphan_deleted" in installation.events()
    truth.check_rest()


@pytest.mark.parametrize("lands_after_s", [1, 8, 100, 899])
def test_a_key_that_lands_after_the_first_look_is_found_by_a_later_one(
    installation: Installation, truth: Truth, lands_after_s: float
) -> None:
    installation.fail("late_effect", "POST", "/keys", times=1, seconds=lands_after_s)
    installation.create()
    installation.run_until_rest()
    assert installation.states() == {"web": ["deleted", "active"]}
    assert len(installation.account.minted) == 2 + len(truth.strangers)
    truth.check_rest()


def test_looks_grow_rare_and_end_when_nothing_can_land_any_more(installation: Installation, truth: Truth) -> None:
    installation.fail("never_arrives", "POST", "/keys", times=1)
    installation.create()
    installation.run_until_rest()
    pages = [c for c in installation.account.calls if (c.method, c.path) == ("GET", "/keys")]
    looks = [page.at - START for page in pages if "offset=0" in page.query]
    assert [look.total_seconds() for look in looks] == [0, 5, 10, 20, 40, 80, 160, 320, 640, 900]
    assert "no key of it ever appeared" in [e.why for e in installation.audit()]
    truth.check_rest()


def test_a_key_that_lands_after_the_last_look_falls_to_reconciling(installation: Installation, truth: Truth) -> None:
    installation.fail("late_effect", "POST", "/keys", times=1, seconds=3600)
    installation.create()
    installation.run_for(timedelta(hours=2))
    assert len(installation.account.live()) == 2 + len(truth.strangers)
    found = installation.operations.reconcile()
    assert [f.verdict for f in found if f.key_hash not in truth.strangers] == ["orphan_deleted"]
    truth.check_rest()


def test_an_unconfirmed_create_is_not_asked_for_without_end(installation: Installation, truth: Truth) -> None:
    """Each replacement inherits the attempts: pauses grow, a person is asked, and it goes on slowly."""
    installation.fail("lost_reply", "POST", "/keys")
    installation.create()
    installation.run_for(timedelta(hours=6))
    assert 8 <= _calls(installation, "POST", "/keys") <= 16
    view = installation.operations.show_rotation("web")
    assert view.status == "needs_attention"
    installation.faults.clear()
    installation.run_until_rest()
    assert installation.operations.show_rotation("web").attention is None
    truth.check_rest()


def test_the_next_create_waits_for_one_look_at_the_last(installation: Installation, truth: Truth) -> None:
    installation.fail("lost_reply", "POST", "/keys", times=1)
    installation.fail("status", "GET", "/keys", status=503)
    installation.create()
    installation.run_for(10 * MINUTE)
    assert _calls(installation, "POST", "/keys") == 1
    installation.faults.clear()
    installation.run_until_rest()
    truth.check_rest()


def test_the_orphan_is_found_beyond_the_first_page(installation: Installation, truth: Truth) -> None:
    installation.fail("late_effect", "POST", "/keys", times=1, seconds=1)
    installation.create()
    installation.tick()
    installation.clock.move(timedelta(seconds=2))
    assert installation.account.pending_effects == 0
    truth.strangers |= {installation.account.mint(f"crowd-{n}")[1] for n in range(120)}
    installation.run_until_rest()
    truth.check_rest()


@contextmanager
def _database_down(installation: Installation) -> Iterator[None]:
    """Every statement fails, for the worker but not for whoever looks."""

    def fail(passing: Passing) -> None:
        if passing.name.startswith("store.") and passing.side is Side.BEFORE:
            raise Unavailable("The database failed (it is down); nothing was changed.")

    installation.tap.watchers.append(fail)
    yield
    installation.tap.watchers.remove(fail)


def test_a_database_that_goes_down_between_the_create_and_its_commit_costs_a_key_and_no_orphan(
    installation: Installation, truth: Truth
) -> None:
    installation.create()
    down = _database_down(installation)
    installation.tap.when(lambda p: p.name == "openrouter POST /keys" and p.side is Side.AFTER, down.__enter__)
    installation.tick()
    assert installation.states() == {"web": ["creating"]}
    down.__exit__(None, None, None)
    installation.run_until_rest()
    assert installation.states() == {"web": ["deleted", "active"]}
    assert installation.version("web", 1).key_hash not in installation.account.existing()
    truth.check_rest()


def test_a_commit_that_failed_once_is_not_taken_for_done(installation: Installation, truth: Truth) -> None:
    """The database blinks at the one commit that holds the new key's text: that key is given up."""
    installation.create()

    def blink() -> None:
        raise Unavailable("The database failed (it blinked); nothing was changed.")

    installation.tap.when(lambda p: p.about == "version_created" and p.side is Side.BEFORE, blink)
    installation.run_until_rest()
    assert installation.states() == {"web": ["deleted", "active"]}
    truth.check_rest()


def test_a_commit_whose_answer_was_lost_is_found_done(installation: Installation, truth: Truth) -> None:
    installation.create()

    def lose() -> None:
        raise Unavailable("The database failed (the connection broke); nothing was changed.")

    installation.tap.when(lambda p: p.about == "version_created" and p.side is Side.AFTER, lose)
    installation.run_until_rest()
    assert installation.states() == {"web": ["active"]}
    truth.check_rest()


# --- two workers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", Side)
def test_a_worker_whose_lease_ran_out_commits_nothing_and_removes_its_own_key(
    installation: Installation, truth: Truth, side: Side
) -> None:
    """It was frozen before its create was sent, or while it was answered; another worker has looked meanwhile."""
    installation.create()
    with closing(installation.worker("worker-b")) as other:

        def overtake() -> None:
            installation.clock.move(LEASE + MINUTE)
            assert other.engine.advance(installation.rotation_ids["web"]).acquired

        installation.tap.when(lambda p: p.name == "openrouter POST /keys" and p.side is side, overtake)
        installation.tick()
    assert any(line.startswith("own_orphan_deleted") for line in installation.log.lines)
    assert any(line.startswith("lease_lost") for line in installation.log.lines)
    assert installation.account.live() == truth.strangers
    installation.run_until_rest()
    assert installation.states() == {"web": ["deleted", "active"]}
    truth.check_rest()


def test_a_stale_worker_that_dies_before_it_cleans_up_leaves_that_to_the_looks(
    installation: Installation, truth: Truth
) -> None:
    installation.create()
    with closing(installation.worker("worker-b")) as other:

        def overtake() -> None:
            installation.clock.move(LEASE + MINUTE)
            other.engine.advance(installation.rotation_ids["web"])
            raise Killed

        installation.tap.when(lambda p: p.name == "openrouter POST /keys" and p.side is Side.BEFORE, overtake)
        installation.tick()
    installation.run_until_rest()
    truth.check_rest()


def test_a_stale_worker_that_cannot_clean_up_leaves_that_to_the_looks(installation: Installation, truth: Truth) -> None:
    installation.create()
    with closing(installation.worker("worker-b")) as other:

        def overtake() -> None:
            installation.clock.move(LEASE + MINUTE)
            other.engine.advance(installation.rotation_ids["web"])
            installation.fail("status", "DELETE", status=503, times=1)

        installation.tap.when(lambda p: p.name == "openrouter POST /keys" and p.side is Side.AFTER, overtake)
        installation.fail("latency", "POST", "/keys", seconds=0)
        installation.tick()
    installation.run_until_rest()
    truth.check_rest()


def test_a_worker_frozen_before_it_publishes_cannot_put_an_older_key_back(
    installation: Installation, truth: Truth
) -> None:
    """Another worker delivered meanwhile, and an operator rotated again: the file knows a newer publication."""
    installation.create()
    installation.tick()
    installation.operations.rotate("web")
    with closing(installation.worker("worker-b")) as other:

        def overtake() -> None:
            installation.clock.move(LEASE + MINUTE)
            other.engine.advance(installation.rotation_ids["web"])
            other.requests.rotate("web", actor="somebody")
            other.engine.advance(installation.rotation_ids["web"])

        installation.tap.when(lambda p: p.name == "publisher.publish" and p.side is Side.BEFORE, overtake)
        installation.tick()
    assert truth.held(installation.file("app.env")) == installation.version("web", 3).key_hash
    installation.run_until_rest()
    assert installation.states() == {"web": ["deleted", "deleted", "active"]}
    truth.check_rest()


@pytest.mark.parametrize(
    "frozen_at",
    ["store.management_key", "openrouter GET /key", "store.target", "publisher.read_back", "openrouter PATCH /keys/*"],
)
def test_a_worker_that_was_frozen_past_its_lease_stops_where_it_finds_out(
    installation: Installation, truth: Truth, frozen_at: str
) -> None:
    installation.create(overlap="0", cooling="0", files=("app.env", "job.env"))
    installation.tick()
    installation.operations.rotate("web")
    with closing(installation.worker("worker-b")) as other:

        def overtake() -> None:
            installation.clock.move(LEASE + MINUTE)
            other.engine.advance(installation.rotation_ids["web"])

        installation.tap.when(lambda p: p.name == frozen_at and p.side is Side.AFTER, overtake)
        installation.tick()
    assert any(line.startswith("lease_lost") for line in installation.log.lines)
    installation.run_until_rest()
    assert installation.active().number >= 2
    truth.check_rest()


@pytest.mark.parametrize("bindings", ["carried again", "dropped"])
def test_a_worker_frozen_before_it_looks_after_bindings_touches_none(
    installation: Installation, truth: Truth, bindings: str
) -> None:
    installation.create()
    installation.tick()
    installation.operations.rotate("web", emergency=bindings == "dropped")
    with closing(installation.worker("worker-b")) as other:

        def overtake() -> None:
            installation.clock.move(LEASE + MINUTE)
            other.engine.advance(installation.rotation_ids["web"])

        last = "publisher.read_back" if bindings == "carried again" else "store.load"
        installation.tap.when(lambda p: p.name == last and p.side is Side.AFTER and _due_to_die(installation), overtake)
        installation.run_until_rest()
    assert any(line.startswith("lease_lost") for line in installation.log.lines)
    truth.check_rest()


def _due_to_die(installation: Installation) -> bool:
    return installation.version("web", 1).state is VersionState.RETIRING


def test_a_rotation_that_another_worker_has_is_left_to_it(installation: Installation, truth: Truth) -> None:
    installation.create()
    with closing(installation.worker("worker-b")) as other:
        outcomes: list[bool] = []

        def meanwhile() -> None:
            outcomes.append(other.engine.advance(installation.rotation_ids["web"]).acquired)

        installation.tap.when(lambda p: p.name == "openrouter POST /keys", meanwhile)
        installation.tick()
    assert outcomes == [False]
    assert installation.states() == {"web": ["active"]}
    truth.check_rest()


def test_a_lease_is_kept_for_as_long_as_a_slow_delivery_takes(installation: Installation, truth: Truth) -> None:
    """Twenty destinations, each nearly as slow as may be, take longer than a lease lasts; so do the few of them that a
    worker tries before it leaves the others to the next tick."""
    files = [f"app-{n}.env" for n in range(20)]
    installation.create(files=files)
    slow = timedelta(seconds=25)

    def crawl(passing: Passing) -> None:
        if passing.name == "publisher.publish" and passing.side is Side.BEFORE:
            installation.clock.move(slow)

    installation.tap.watchers.append(crawl)
    began = installation.clock.now()
    installation.tick()
    assert installation.clock.now() - began > installation.settings.lease_s
    assert installation.states() == {"web": ["proven"]}
    installation.run_until_rest()
    assert installation.states() == {"web": ["active"]}
    truth.check_rest()


def test_each_worker_is_named_in_what_it_did(installation: Installation, truth: Truth) -> None:
    installation.create()
    installation.tap.kill_at("openrouter POST /keys", Side.AFTER)
    installation.run_until_rest()
    actors = {e.name: e.actor for e in installation.audit() if e.name in {"version_creating", "version_abandoned"}}
    assert actors == {"version_creating": "worker-2", "version_abandoned": "worker-2"}
    assert [e.actor for e in installation.audit() if e.name == "version_creating"] == ["worker-1", "worker-2"]
    truth.check_rest()
