"""No sequence of operators' commands, faults, deaths and waiting loses the last working key, or leaves an orphan.

What is found is printed as a script: operators' commands, faults and waiting, one a line, as few as will do.
A nightly run tries ten times as much: ``HYPOTHESIS_PROFILE=nightly``.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import timedelta
from functools import cache, partial
from pathlib import Path

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tasks.operations.requests import RotationUpdate
from tasks.rotation.errors import Conflict, OperatorNeeded, RotatorError, Unavailable
from tasks.rotation.model import Removal
from tests.property.effort import effort
from tests.steered.installation import SECRET_NAME, Installation, Template, copied, make_template
from tests.steered.taps import Side
from tests.steered.truth import Truth

pytestmark = pytest.mark.timeout(900)
FILES = ("app.env", "job.env")
CALLS = st.sampled_from(
    [("POST", "/keys"), ("GET", "/key"), ("GET", "/keys"), ("PATCH", "*"), ("DELETE", "*"), ("*", "*")]
)
KINDS = st.sampled_from(["lost_reply", "never_arrives", "refused", "malformed", "truncated", "empty"])
STATUSES = st.sampled_from([400, 401, 403, 429, 500, 503])
"""Not 404, by which OpenRouter says that a key is gone: we believe it, and reconciling mends it if it was not so."""
SPANS = st.sampled_from([timedelta(seconds=s) for s in (1, 7, 95, 600, 1000, 3600, 7200, 100_000)])
STEPS = st.sampled_from([timedelta(hours=-1), timedelta(minutes=-2), timedelta(minutes=2), timedelta(hours=1)])
SOON = st.integers(1, 40)
"""So many calls from now."""
NEXT = "next.env"
"""A third file, which operators add and remove."""


@cache
def _template() -> Template:
    return make_template(Path(tempfile.mkdtemp(prefix="template-", dir=_root())))


@cache
def _root() -> Path:
    """Where every example has its folder; it ends with the process."""
    root = Path(tempfile.mkdtemp(prefix="no-sequence-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


class Upheaval(RuleBasedStateMachine):
    """One rotation with two files, whatever happens to it. In the end, when all is well again, it must rest."""

    looked_first = True
    """Whether the account was found to bind nothing to keys, so that a rotation need not look."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._folder = Path(tempfile.mkdtemp(dir=_root()))
        self.installation: Installation = self._stack.enter_context(copied(_template(), self._folder))
        self.truth = Truth(self.installation)

    @initialize(cooling=st.sampled_from(["0", "1h"]), overlap=st.sampled_from(["0", "1h"]))
    def begin(self, cooling: str, overlap: str) -> None:
        if self.looked_first:
            self.installation.operations.reconcile()
        self.installation.create(files=FILES, every="1d", cooling=cooling, overlap=overlap)

    @property
    def _there(self) -> bool:
        return self.installation.removal_of("web") is None

    # --- operators ---------------------------------------------------------------------------------------------

    @precondition(lambda self: self._there)
    @rule(emergency=st.booleans())
    def rotate(self, emergency: bool) -> None:
        self.installation.operations.rotate("web", emergency=emergency)

    @precondition(lambda self: self._there)
    @rule()
    def undo(self) -> None:
        try:
            self.installation.operations.undo("web")
        except Conflict:
            """There is nothing to bring back, or something is on its way."""

    @precondition(lambda self: self._there)
    @rule(paused=st.booleans())
    def pause_or_resume(self, paused: bool) -> None:
        change = self.installation.operations.pause_rotation if paused else self.installation.operations.resume_rotation
        change("web")

    @precondition(lambda self: self._there)
    @rule(limit_usd=st.sampled_from([None, 1.0, 2.0]))
    def update(self, limit_usd: float | None) -> None:
        self.installation.operations.update_rotation("web", RotationUpdate(limit_usd=limit_usd))

    @precondition(lambda self: self._there)
    @rule(added=st.booleans())
    def add_or_remove_a_destination(self, added: bool) -> None:
        place, path = self.installation.destination(NEXT), self.installation.file(NEXT)
        change = RotationUpdate(add_publish=(place,)) if added else RotationUpdate(remove_publish=(place.reveal(),))
        try:
            self.installation.operations.update_rotation("web", change)
        except OperatorNeeded:
            return  # it is there already, or it is not there
        self.truth.excused.add(path)
        (self.truth.left.discard if added else self.truth.left.add)(path)

    @rule()
    def reconcile(self) -> None:
        try:
            self.installation.operations.reconcile()
        except RotatorError:
            """A fault struck it; the next one will do."""

    @precondition(lambda self: self._there and self.installation.deaths >= 2)
    @rule(removal=st.sampled_from(Removal))
    def delete(self, removal: Removal) -> None:
        self.installation.operations.delete_rotation("web", removal)

    # --- trouble -----------------------------------------------------------------------------------------------

    @rule(kind=KINDS, call=CALLS, after=st.integers(0, 2))
    def break_a_call(self, kind: str, call: tuple[str, str], after: int) -> None:
        self.installation.fail(kind, *call, after=after, times=1)

    @rule(status=STATUSES, call=CALLS, effect=st.booleans())
    def answer_badly(self, status: int, call: tuple[str, str], effect: bool) -> None:
        """With the effect only where a gateway may have given up waiting."""
        after_effect = effect and status >= 500
        self.installation.fail("status", *call, status=status, effect=after_effect, times=1)

    @rule(seconds=st.sampled_from([1.0, 30.0, 800.0]))
    def let_the_next_create_land_late(self, seconds: float) -> None:
        self.installation.fail("late_effect", "POST", "/keys", seconds=seconds, times=1)

    @rule(calls=SOON, side=st.sampled_from(Side))
    def let_the_worker_die_soon(self, calls: int, side: Side) -> None:
        self.installation.tap.kill(self._call(calls), side)

    @rule(calls=SOON, side=st.sampled_from(Side))
    def let_its_time_run_out_soon(self, calls: int, side: Side) -> None:
        self._soon(calls, side, _out_of_time)

    @rule(calls=SOON, side=st.sampled_from(Side), others=st.booleans())
    def let_the_worker_freeze_soon(self, calls: int, side: Side, others: bool) -> None:
        """For longer than its lease lasts, and perhaps another one works meanwhile."""
        self._soon(calls, side, partial(self._freeze, others))

    def _freeze(self, others: bool) -> None:
        self.installation.clock.move(timedelta(minutes=10))
        if others and self._there:
            with closing(self.installation.worker("another")) as other, self.installation.tap.listening("another"):
                other.engine.advance(self.installation.rotation_ids["web"])

    @rule(calls=SOON, side=st.sampled_from(Side))
    def let_the_database_fail_soon(self, calls: int, side: Side) -> None:
        """Before a transaction, or after its commit and before its answer."""
        failing = {"store", "desk", "tick"}
        first = self._call(calls)
        self.installation.tap.when(
            lambda p: p.number >= first and p.side is side and p.name.split(".")[0] in failing, _database_fails
        )

    @rule(repeated=st.booleans())
    def let_the_broker_lose_or_repeat_the_next_message(self, repeated: bool) -> None:
        messages = self.installation.broker.messages
        act = partial(_repeat, messages) if repeated else messages.clear
        self.installation.tap.when(lambda p: p.name == "broker.put" and p.side is Side.AFTER, act)

    def _call(self, calls: int) -> int:
        return len(self.installation.tap.names) + calls

    def _soon(self, calls: int, side: Side, act: Callable[[], object]) -> None:
        number = self._call(calls)
        self.installation.tap.when(lambda p: (p.number, p.side) == (number, side), act)

    @rule(file=st.sampled_from(FILES))
    def lose_a_file(self, file: str) -> None:
        """Someone deletes it; it is mended before a key dies, and no sooner."""
        path = self.installation.file(file)
        if path.exists():
            path.unlink()
            self.truth.emptied(path)

    @rule(file=st.sampled_from(FILES))
    def write_to_a_file(self, file: str) -> None:
        """Someone else puts a value of their own in place of the key."""
        path = self.installation.file(file)
        if path.exists():
            self.truth.excused.add(path)
            path.write_text(f"{SECRET_NAME}=somebody-else\n", encoding="utf-8")

    # --- time --------------------------------------------------------------------------------------------------

    @rule()
    def work(self) -> None:
        self.installation.tick()

    @rule(span=SPANS)
    def let_time_pass(self, span: timedelta) -> None:
        self.installation.run_for(span)

    @rule(span=SPANS)
    def sleep_through(self, span: timedelta) -> None:
        """No worker runs."""
        self.installation.clock.move(span)

    @rule(span=STEPS)
    def set_the_clock_of_the_database(self, span: timedelta) -> None:
        self.installation.clock.step(span)

    @rule()
    def let_an_hour_pass_with_its_rounds(self) -> None:
        self.installation.round()

    # --- what must hold ----------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_lost(self) -> None:
        self.truth.check_kept()
        self.truth.check_instant()

    def teardown(self) -> None:
        """All is well again: whatever was left behind is settled without help."""
        try:
            self.installation.faults.clear()
            self.installation.tap.watchers[1:] = []
            if self._there:
                self.installation.operations.pause_rotation("web")
                self.installation.run_until_rest()
                self.installation.operations.rotate("web")
            self.installation.settle()
            self.truth.excused.clear()
            self.truth.check_rest()
        finally:
            self._stack.close()
            shutil.rmtree(self._folder)


def _out_of_time() -> None:
    raise SoftTimeLimitExceeded


def _database_fails() -> None:
    raise Unavailable("The database failed (it went away); nothing was changed.")


def _repeat(messages: deque[str]) -> None:
    messages.extend(tuple(messages))


class UpheavalOfAnUnknownAccount(Upheaval):
    """The same, where every rotation has to look what is bound to its keys."""

    looked_first = False


_EFFORT = effort(100, stateful_step_count=15, suppress_health_check=list(HealthCheck))
TestUpheaval = Upheaval.TestCase
TestUpheaval.settings = _EFFORT
TestUpheavalOfAnUnknownAccount = UpheavalOfAnUnknownAccount.TestCase
TestUpheavalOfAnUnknownAccount.settings = _EFFORT
