"""What the provider attaches to a key by its hash: carried to its successor, dropped at its end.

Nothing is asked where a recent look found that the account binds nothing to any key; see ``Snapshot.binds_keys``.
"""

from __future__ import annotations

from tasks.rotation.model import KeyVersion
from tasks.rotation.ports import BindingReport
from tasks.rotation.turn import BINDINGS_LAST, Turn, hash_of


def carry_bindings(turn: Turn, old: KeyVersion, new: KeyVersion) -> BindingReport:
    """Attach to ``new`` what is bound to ``old``, and read it back. Repeatable."""
    if not turn.snapshot.binds_keys:
        return BindingReport()
    turn.hold(BINDINGS_LAST)
    return turn.provider.carry_bindings(
        turn.management_key(),
        old_hash=hash_of(old),
        new_hash=hash_of(new),
        workspace_id=turn.rotation.parameters.workspace_id,
    )


def drop_bindings(turn: Turn, version: KeyVersion) -> None:
    """Take a key that is about to be deleted out of the lists that name it. Repeatable."""
    if turn.snapshot.binds_keys:
        turn.hold(BINDINGS_LAST)
        workspace_id = turn.rotation.parameters.workspace_id
        turn.provider.drop_bindings(turn.management_key(), old_hash=hash_of(version), workspace_id=workspace_id)
