"""Follows one version until it is in service, for `--wait` and `--local`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tasks.rotation.model import OUTGOING, VersionState
from worker.cli.guard import DONE, FAILED, note

if TYPE_CHECKING:
    from tasks.operations import Operations
    from tasks.operations.views import RotateAnswer
    from tasks.rotation.model import KeyVersion

_LOOK_EVERY_S: Final = 0.25
_IN_SERVICE: Final = OUTGOING | {VersionState.ACTIVE, VersionState.DELETED}


def follow(ops: Operations, answer: RotateAnswer, *, wait: bool, local: bool) -> int:
    """Print a line for each new state; return the exit code. An emergency is over when every older key is deleted.

    ``local`` does the work here, ``wait`` waits for whoever does it. Without ``wait`` one round must be enough:
    what is left then waits for a moment that the database knows.
    """
    shown: VersionState | None = None
    while True:
        if local:
            ops.advance_here(answer.rotation)
        version = ops.follow(answer.rotation, answer.version)
        if version.state is not shown:
            shown = version.state
            note(f"{answer.rotation} v{answer.version}: {version.state.value}")
        code = _outcome(ops, answer, version)
        if code is not None:
            return code
        if not wait:
            note(
                f"{answer.rotation} v{answer.version}: not finished; a worker carries on, or run it again with --wait."
            )
            return FAILED
        time.sleep(_LOOK_EVERY_S)


def _outcome(ops: Operations, answer: RotateAnswer, version: KeyVersion) -> int | None:
    """The exit code once it is settled, None while it is under way."""
    if version.state in _IN_SERVICE and not version.reviving:
        return None if version.emergency and _older_live(ops, answer) else DONE
    if version.state is VersionState.ABANDONED:
        note(f"error: {answer.rotation} v{answer.version} was given up: {version.attempt.error or 'see its history'}")
        note("       The key in service is still the one before it.")
        return FAILED
    rotation = ops.show_rotation(answer.rotation)
    if rotation.status == "needs_attention":
        note(f"error: {answer.rotation}: {rotation.attention}")
        note(f"       {rotation.remedy or ''}".rstrip())
        return FAILED
    return None


def _older_live(ops: Operations, answer: RotateAnswer) -> bool:
    """Whether a key that an emergency is to end may still be accepted."""
    return any(
        older.number < answer.version and older.state is not VersionState.DELETED
        for older in ops.history(answer.rotation).versions
    )
