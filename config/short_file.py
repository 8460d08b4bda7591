"""Reads a small file that a person named, and neither hangs on what is no file nor swallows what is endless."""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from pathlib import Path
from typing import Final

LARGEST_BYTES: Final = 65_536
"""Far more than any key, ring of keys, URL or password."""
PATIENCE_S: Final = 5.0
"""How long a pipe may take; a file takes no time."""


def read_short_file(path: Path, *, patience_s: float | None = None, regular: bool = False) -> str:
    """The file's text; a pipe gets ``patience_s`` seconds (None: ``PATIENCE_S``) to come to its end, unless it must be
    a ``regular`` file.

    Raises ``OSError`` with a reason for people, ``UnicodeDecodeError`` for what is not UTF-8.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "no path holds a NUL")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if regular and not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        return _content(descriptor, PATIENCE_S if patience_s is None else patience_s).decode()
    finally:
        os.close(descriptor)


def _content(descriptor: int, patience_s: float) -> bytes:
    content, give_up_at, waiting = b"", time.monotonic() + patience_s, select.poll()
    waiting.register(descriptor, select.POLLIN)
    while len(content) <= LARGEST_BYTES:
        if not waiting.poll(max(0.0, give_up_at - time.monotonic()) * 1000):
            raise OSError(errno.ETIMEDOUT, f"it did not come to its end within {patience_s:g} s")
        piece = os.read(descriptor, LARGEST_BYTES)
        if not piece:
            return content
        content += piece
    raise OSError(errno.EFBIG, f"it is larger than {LARGEST_BYTES // 1024} KiB")
