"""One ``rotator up`` for one data folder."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Final

from tasks.rotation.errors import Conflict

_POLL_S: Final = 0.1


class DataLock:
    """An exclusive hold on a data folder, for as long as any process that inherited ``descriptor`` lives.

    The embedded broker inherits it. So if ``rotator up`` is killed and started again at once, the second waits until
    the first one's broker has let go of its files.
    """

    def __init__(self, folder: Path, *, timeout_s: float) -> None:
        """Take the lock. Raises ``Conflict`` at once when its holder runs, else after ``timeout_s`` of waiting for what
        a dead one left behind."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / "rotator.lock"
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + timeout_s
        while not self._taken():
            holder = os.pread(self.descriptor, 32, 0).decode("ascii", "replace").strip()
            if _runs(holder) or time.monotonic() > deadline:
                os.close(self.descriptor)
                raise Conflict(
                    f"Another `rotator up` (process {holder or 'unknown'}) uses {folder}; nothing was started.",
                    "Stop it, or choose another ROTATOR_DATA_DIR.",
                )
            time.sleep(_POLL_S)
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{os.getpid()}\n".encode(), 0)

    def _taken(self) -> bool:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Let go of this process's share."""
        os.close(self.descriptor)


def _runs(pid: str) -> bool:
    """Whether there is such a process, as far as can be told."""
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        """It is someone else's, but it runs."""
    return True
