"""The files that a destination may be, or read: regular ones. What the system makes up tells of processes, or waits."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

_SYSTEMS_OWN: Final = tuple(map(Path, ("/proc", "/dev", "/sys")))
_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - named, and nothing is made there
"""A file system like any other, and where keys are kept that shall not reach a disk."""


def real(path: Path) -> Path:
    """Where a path leads, whatever links there are on the way. What does not exist is as it is written."""
    return Path("/", *Path(os.path.realpath(path)).parts[1:])  # two slashes in front mean the same as one


def is_systems_own(path: Path) -> bool:
    """Whether the path leads into a folder whose files are none, but doors of the kernel's."""
    leads_to = real(path)
    own = any(leads_to.is_relative_to(folder) for folder in _SYSTEMS_OWN)
    return own and _MEMORY not in leads_to.parents


def fault_of(path: Path) -> str:
    """What speaks against a path, as the end of a sentence; empty if nothing does, as for what is not there yet.

    Nothing is opened: a FIFO would wait for whoever writes to it.
    """
    if is_systems_own(path):
        return "is one of the system's own, in /proc, /dev or /sys"
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return ""
    return "" if regular else "is not a regular file"
