"""Replaces one file as a whole: readers see the old one or the new one, never a part, never none.

Mode, owner and extended attributes (ACLs too) are carried over; a new file is 0600. Our own writers keep apart by a
lock on the *directory*: the file itself is replaced, so a lock on it would guard a file that is gone, and a lock file
would litter a folder that is not ours. Other writers do not know the lock; so the file is read again right before the
replacement, and ``replace`` and ``remove`` refuse when it changed. Between that look and the rename a few microseconds
remain in which a foreign writer can still lose its change: POSIX offers no compare-and-rename.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tasks.rotation.errors import OperatorNeeded, OutcomeUnknown, RotatorError, TryAgain

LOCK_WAIT_S: Final = 5.0
"""A holder needs milliseconds; many rotations may share one file and come due at the same second."""

LARGEST_BYTES: Final = 4 * 1024 * 1024
"""Far more than any file that people keep a key in; a larger one is more likely another file."""

NEW_FILE_MODE: Final = 0o600

_LOCK_PAUSE_S: Final = 0.02
_CARRIED_ATTRIBUTES: Final = ("security.selinux", "system.posix_acl_access", "user.")

_PASSING: Final = frozenset(
    {
        *(errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE),
        *(errno.ETIMEDOUT, errno.ENOTCONN, errno.ECONNABORTED, errno.ECONNRESET, errno.EHOSTUNREACH),
        getattr(errno, "EREMOTEIO", errno.EIO),  # Linux: a server of NFS or FUSE that is away, as are those above
    }
)
"""What may pass by itself; every other errno needs a person: a full disk too, for who else would make room on it?"""

_REMEDIES: Final = {
    errno.ENOENT: "Create the directory, or publish elsewhere.",
    errno.ENOTDIR: "Create the directory, or publish elsewhere.",
    errno.EACCES: "Let the worker's user read and write the file and its directory.",
    errno.EPERM: "Let the worker's user own the file, or run the worker as its owner.",
    errno.EROFS: "Publish to a file system that is mounted for writing.",
    errno.ENOSPC: "Free some space.",
    errno.EDQUOT: "Free some space.",
    errno.EBUSY: "If the file itself is a mount point (docker -v FILE:FILE), mount its directory instead.",
    errno.ENOLCK: "Publish to a file system that supports locks.",
}


@dataclass(frozen=True, slots=True)
class Place:
    """An open directory, and the file's name in it."""

    directory: int
    name: str

    @property
    def draft(self) -> str:
        """The new file before it takes its name. Fixed, so that what a crash left behind is found and removed."""
        return f".{self.name}.openrouter-rotator"


@dataclass(frozen=True, slots=True)
class Found:
    """The file as it was read: two that are equal are the same file, unchanged."""

    content: bytes = field(repr=False)
    device: int
    inode: int
    modified_ns: int
    mode: int
    owner: int
    group: int
    names: int
    attributes: tuple[tuple[str, bytes], ...]


@contextmanager
def opened(path: Path) -> Iterator[Place]:
    """The directory of ``path``, open for as long as the block lasts: renaming it meanwhile does not mislead us."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Place(directory, path.name)
    finally:
        os.close(directory)


def lock(place: Place) -> None:
    """Keep our other writers out until the place is closed. ``TryAgain`` after a while: a holder may hang."""
    give_up_at = time.monotonic() + LOCK_WAIT_S
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(place.directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        if time.monotonic() >= give_up_at:
            raise TryAgain("another worker holds the directory's lock; nothing was changed.")
        time.sleep(_LOCK_PAUSE_S)


def read(place: Place) -> Found | None:
    """The file, or None when there is none. ``OperatorNeeded`` for what is not one regular file of one name."""
    descriptor = _descriptor(place)
    if descriptor is None:
        return None
    try:
        facts = os.fstat(descriptor)
        _refuse_special(facts)
        return Found(
            content=_content(descriptor),
            device=facts.st_dev,
            inode=facts.st_ino,
            modified_ns=facts.st_mtime_ns,
            mode=stat.S_IMODE(facts.st_mode),
            owner=facts.st_uid,
            group=facts.st_gid,
            names=facts.st_nlink,
            attributes=_attributes(descriptor),
        )
    finally:
        os.close(descriptor)


def replace(
    place: Place, found: Found | None, content: bytes, *, like: Found | None = None, mode: int = NEW_FILE_MODE
) -> bool:
    """Put ``content`` in place of what was ``found``. False, and nothing done, when that is not there any more.

    A new file gets mode, owner and attributes of the file that it shall be ``like``, or else ``mode``.
    Call it under the lock. ``OutcomeUnknown`` when the disk does not confirm the new name.
    """
    with _drafted(place, found or like, content, mode):
        if read(place) != found:
            return False
        os.replace(place.draft, place.name, src_dir_fd=place.directory, dst_dir_fd=place.directory)
    _confirm(place, "replaced")
    return True


def remove(place: Place, found: Found) -> bool:
    """Remove what was ``found``. False, and nothing done, when that is not there any more.

    Call it under the lock. ``OutcomeUnknown`` when the disk does not confirm that it is gone.
    """
    if read(place) != found:
        return False
    os.unlink(place.name, dir_fd=place.directory)
    _confirm(place, "removed")
    return True


def rehearse(place: Place, found: Found | None, *, like: Found | None = None) -> None:
    """Go as far as a replacement goes without replacing: an empty draft is written and removed. Call it under the lock.

    A full disk, a read-only mount, a missing right and an owner that we cannot carry over show at once.
    """
    with _drafted(place, found or like, b"", NEW_FILE_MODE):
        pass


def translated(error: OSError, label: str) -> RotatorError:
    """The file system's answer in our words."""
    number = error.errno or 0
    message = f"{label}: {os.strerror(number)}; the file was left as it is."
    remedy = _REMEDIES.get(number, "")
    return TryAgain(message, remedy) if number in _PASSING else OperatorNeeded(message, remedy)


def _descriptor(place: Place) -> int | None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO would block for ever
    try:
        return os.open(place.name, flags, dir_fd=place.directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OperatorNeeded(
            "it is a symbolic link; nothing was changed.",
            "Publish to the file that it leads to, or add ?symlink=follow to the path.",
        ) from error


def _content(descriptor: int) -> bytes:
    with open(descriptor, "rb", closefd=False) as file:
        content = file.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise OperatorNeeded(
            f"the file is larger than {LARGEST_BYTES // 1024 // 1024} MiB; nothing was changed.",
            "Publish to a file of its own.",
        )
    return content


def _refuse_special(facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise OperatorNeeded("it is not a regular file; nothing was changed.", "Publish to a regular file.")
    if facts.st_nlink > 1:
        raise OperatorNeeded(
            f"the file has {facts.st_nlink} names (hard links), and the others would keep the old key;"
            " nothing was changed.",
            "Replace the other names by symbolic links to one file.",
        )


def _confirm(place: Place, done: str) -> None:
    """Wait until the disk has the directory as it is now."""
    try:
        os.fsync(place.directory)
    except OSError as error:
        raise OutcomeUnknown(f"the file was {done}, but the disk did not confirm it.") from error


@contextmanager
def _drafted(place: Place, like: Found | None, content: bytes, mode: int) -> Iterator[None]:
    """The new file, complete and on disk, under a name of its own; removed if it is still there at the end."""
    _remove_draft(place)  # a crash may have left one; under the lock nobody is writing it
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(place.draft, flags, NEW_FILE_MODE, dir_fd=place.directory)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            _dress(descriptor, like, mode)
            os.fsync(descriptor)
        yield
    finally:
        _remove_draft(place)


def _remove_draft(place: Place) -> None:
    with suppress(FileNotFoundError):
        os.unlink(place.draft, dir_fd=place.directory)


def _dress(descriptor: int, like: Found | None, mode: int) -> None:
    """Give the draft owner, attributes and mode of the file it replaces, in an order in which none undoes another."""
    if like is None:
        os.fchmod(descriptor, mode)
        return
    facts = os.fstat(descriptor)
    if (facts.st_uid, facts.st_gid) != (like.owner, like.group):
        os.fchown(descriptor, like.owner, like.group)
    _dress_attributes(descriptor, dict(like.attributes))
    os.fchmod(descriptor, like.mode)


def _dress_attributes(descriptor: int, wanted: dict[str, bytes]) -> None:
    """Set what differs and drop what the directory bequeathed (a default ACL would let others read)."""
    if sys.platform != "linux":
        return
    present = dict(_attributes(descriptor))
    for name, value in wanted.items():
        if present.get(name) != value:
            os.setxattr(descriptor, name, value)
    for name in present.keys() - wanted.keys():
        os.removexattr(descriptor, name)


def _attributes(descriptor: int) -> tuple[tuple[str, bytes], ...]:
    """The extended attributes that a replacement must carry; none where the platform or file system has none."""
    if sys.platform != "linux":
        return ()
    try:
        names = sorted(name for name in os.listxattr(descriptor) if name.startswith(_CARRIED_ATTRIBUTES))
        return tuple((name, os.getxattr(descriptor, name)) for name in names)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return ()
        raise
