"""Where the master key comes from: a variable, a file, or a file made on first use.

A master key is 32 random bytes in URL-safe base64. Several, separated by commas or lines, make a ring: the
first encrypts, all decrypt. A file is read again when it changes, so that a key can be rotated while workers run.
"""

from __future__ import annotations

import base64
import binascii
import errno
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from config.secret import Secret
from config.settings import Settings, SettingsError
from config.short_file import read_short_file

KEY_BYTES: Final = 32
_CANNOT_SYNC: Final = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS})


def generate_master_key() -> Secret:
    """A new master key, as text."""
    return Secret(base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)).decode())


def parse_ring(text: Secret, *, source: str) -> tuple[bytes, ...]:
    """The ring's keys, first one first. Raises ``SettingsError`` naming ``source``."""
    parts = [p.strip() for p in text.reveal().replace("\n", ",").split(",") if p.strip()]
    keys = tuple(k for part in parts if (k := _decoded(part)) is not None)
    if not keys or len(keys) != len(parts):
        remedy = "`rotator master-key generate` makes one"
        raise SettingsError((f"{source}: a master key is {KEY_BYTES} bytes in URL-safe base64; {remedy}",))
    return keys


def _decoded(text: str) -> bytes | None:
    try:
        key = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None


@dataclass(slots=True)
class MasterKeySource:
    """The ring as it stands now. ``path`` is None for a key given by variable, which cannot change."""

    path: Path | None
    text: Secret | None = None
    created: bool = False
    """Whether this process made the key, on first use."""
    ours: bool = False
    """Whether it is the file in the data folder, which no other machine has a copy of: only that one may be changed."""
    _stamp: tuple[int, int] | None = field(default=None, repr=False)
    _keys: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return "ROTATOR_MASTER_KEY" if self.path is None else str(self.path)

    def keys(self) -> tuple[bytes, ...]:
        """The ring's keys, read again if their file changed. Raises ``SettingsError``."""
        if self.path is None:
            if not self._keys and self.text is not None:
                self._keys = parse_ring(self.text, source=self.name)
            return self._keys
        try:
            status = self.path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._stamp:
                self._keys = parse_ring(Secret(read_short_file(self.path) or " "), source=self.name)
                self._stamp = stamp
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError((f"{self.path}: cannot read the master key: {error}",)) from None
        return self._keys

    def replace(self, ring: tuple[Secret, ...]) -> None:
        """Write a new ring to its file, atomically and mode 0600. Raises ``SettingsError`` when it is not ours."""
        if self.path is None or not self.ours:
            raise SettingsError((f"{self.name}: it is not ours to change, so put the new key first in it yourself",))
        write_private(self.path, "\n".join(key.reveal() for key in ring) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, so that a crash leaves the old or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _confirm_name(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _confirm_name(path: Path) -> None:
    """Have the disk keep a new name in its folder: rows that need the file's keys are committed after this. File
    systems that cannot do it for folders, such as some on a network, keep names in their own way."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(folder)


def master_key_source(settings: Settings) -> MasterKeySource:
    """The ring that the settings point to; in embedded mode a missing key file is made, once, for ever.

    Raises ``SettingsError`` when it cannot be made, or when there is a database already: its key is lost, and another
    one beside it would only look like it.
    """
    if settings.master_key_file is not None:
        return MasterKeySource(settings.master_key_file)
    if settings.master_key is not None:
        return MasterKeySource(None, settings.master_key)
    path = settings.data_dir / "master.key"
    if key_is_lost(settings):
        raise SettingsError(
            (f"{path}: it is missing, and encrypts {settings.database_file}: restore it from a backup",)
        )
    try:
        created = not path.exists() and _create_once(path)
    except OSError as error:
        raise SettingsError((f"ROTATOR_DATA_DIR: cannot make {path}: {error.strerror}",)) from None
    return MasterKeySource(path, created=created, ours=True)


def key_is_lost(settings: Settings) -> bool:
    """Whether a database has been written whose key is not in the data folder, where it must be."""
    if settings.master_key is not None or settings.master_key_file is not None or settings.database_file is None:
        return False
    try:
        written = settings.database_file.stat().st_size > 0  # looked at first: a key is made before anything is written
    except OSError:
        return False
    return written and not (settings.data_dir / "master.key").exists()


def _create_once(path: Path) -> bool:
    """Make the key file unless another process was first."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    write_private(draft, generate_master_key().reveal() + "\n")
    try:
        os.link(draft, path)
        _confirm_name(path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True
