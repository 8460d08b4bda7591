"""The current keys of some rotations, for `rotator run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.cli.guard import MisuseError, note

if TYPE_CHECKING:
    from config.secret import Secret
    from tasks.operations import Operations


class Keys:
    """Watches which versions are current; fetches texts only when they changed."""

    def __init__(self, ops: Operations, rotations: tuple[str, ...]) -> None:
        self._ops = ops
        self._rotations = rotations
        self._versions: dict[str, int] = {}
        self._failing = False

    def fetch(self) -> dict[str, Secret]:
        """The current keys by variable. Raises ``MisuseError`` when two rotations share one variable."""
        found: dict[str, Secret] = {}
        seen: dict[str, int] = {}
        for rotation in self._rotations:
            # The version is read before the text: a switch in between is then seen, at worst twice, at the next look.
            current = self._ops.current_key(rotation)
            if current.secret_name in found:
                raise MisuseError(f"two of the rotations publish {current.secret_name}: a command can have only one")
            found[current.secret_name] = self._ops.reveal_key(rotation)
            seen[rotation] = current.version
        self._versions = seen  # only now: after a failure half way the next look finds the change again
        return found

    def fetch_if_changed(self) -> dict[str, Secret] | None:
        """The current keys if a version is current that was not fetched. When nobody can be asked: None."""
        from tasks.rotation.errors import RotatorError

        try:
            fresh = self.fetch() if self._changed() else None
        except RotatorError as error:
            self._complain_once(error)
            return None
        self._failing = False
        return fresh

    def _changed(self) -> bool:
        return any(self._ops.current_key(name).version != seen for name, seen in self._versions.items())

    def _complain_once(self, error: Exception) -> None:
        if not self._failing:
            note(f"rotator run: cannot look for a new key, the command goes on with what it has: {error}")
        self._failing = True
