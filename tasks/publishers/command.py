"""Publishes by a program of the operator: ``command:/ABSOLUTE/PROGRAM``.

It is called as ``PROGRAM ACTION``, and is told the rest by its environment, which holds nothing of ours otherwise:

======================== ====================================================================================
``ROTATION_ACTION``      the action, as in its only argument
``ROTATION_SECRET_NAME`` under which name applications look for the key
``ROTATION_PLACE``       what the target says behind ``place=``: for a program that serves more than one place
``ROTATION_READ_BACK``   ``sha256``, ``value`` or ``none``, as the target says
``ROTATION_ID``          of the rotation that publishes or withdraws, as are the following three
``ROTATION_NAME``        how people call it
``ROTATION_VERSION``     which version of the key it is
``ROTATION_SEQUENCE``    grows with each publication of this rotation, an undo included, or stays the same
======================== ====================================================================================

Besides there are ``PATH``, ``HOME`` and what tells language and time zone; a program that needs more reads it from a
file of its own. It must neither change the key nor print it, but for ``read-back``.

``publish``
    The key is its standard input, to the end, without a newline. Exit code 0 says that applications can read it now,
    any other one that what they read is as it was. To publish the same again is no error.
``read-back``
    Prints what applications would read now: its SHA-256 in hexadecimal digits (``read_back=sha256``), or the key itself
    (``read_back=value``); nothing when there is none. With ``read_back=none`` it is never called: then the first line
    that ``publish`` printed is kept with a fingerprint of the key, and proves only that the program took it.
``check``
    Whether it could publish: changes nothing.
``withdraw``
    Takes the key away if this rotation published it with this sequence or an earlier one, and leaves any other alone.

Exit codes are those of sysexits.h: 75 try again later, 77 no permission, 78 not configured, 64 no such action; and 3:
the place holds a publication of the same rotation (``ROTATION_ID``) with a greater sequence, and was left alone. A
worker that was late asks for an older one, so a program should remember both, under a lock. Whatever it writes to
standard error is shown to people, five lines at most, without what looks like a key.

Such a program, for a file that an application reads::

    #!/bin/sh
    set -eu
    key=/srv/app/openrouter-key; stamp=$key.rotation
    exec 9>"$key.lock"; flock 9
    id=; sequence=0; [ ! -f "$stamp" ] || read -r id sequence <"$stamp"
    case "$1" in
    publish | withdraw) [ "$id" != "$ROTATION_ID" ] || [ "$sequence" -le "$ROTATION_SEQUENCE" ] || exit 3 ;;
    esac
    case "$1" in
    check) [ -w "${key%/*}" ] || exit 77 ;;
    publish)
        cat >"$key.new"
        echo "$ROTATION_ID $ROTATION_SEQUENCE" >"$stamp"
        mv "$key.new" "$key" ;;
    read-back) [ ! -f "$key" ] || sha256sum <"$key" ;;
    withdraw) [ "$id" != "$ROTATION_ID" ] || rm -f "$key" "$stamp" ;;
    *) exit 64 ;;
    esac

There is no option for arguments: a program that needs some is called by one that has them, which needs no quoting.
Nobody may name a program over HTTP, since it runs as the worker's user.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from config.environment import variable
from config.secret import Secret
from tasks.publishers._places.program.faults import CHANGING, NEWER, failure, not_started, shown
from tasks.publishers._places.program.run import Ended, refuse_untrusted, run
from tasks.publishers._shared.about import About
from tasks.publishers._shared.checks import FIELD, printable, query_options, validated
from tasks.publishers._shared.fingerprint import fingerprint, matches, sha256
from tasks.publishers._shared.uses import MachineUse, Names, RunsProgram, uses_of
from tasks.rotation.errors import Conflict, InvalidInput, OperatorNeeded
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

_PASSED_ON: Final = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
_LONGEST_RECEIPT: Final = 200


def _plain(path: Path) -> Path:
    if not path.is_absolute() or ".." in path.parts or path.root != "/":
        raise ValueError("the program must be an absolute path, without '..'")
    return path


def _label(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it must be printable text")
    return text


class CommandOptions(BaseModel):
    """Which program, and how it is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    path: Annotated[Path, AfterValidator(_plain), Names(RunsProgram)]
    read_back: Literal["sha256", "value", "none"] = Field(
        "sha256", description="what the program's `read-back` prints, `sha256`, `value`, or `none` when it has none"
    )
    place: Annotated[str, AfterValidator(_label)] = Field(
        "", max_length=100, description="no credential; tells the program which of its places is meant"
    )
    timeout_s: float = Field(20, ge=0.1, le=25, description="seconds after which it is killed, 20 if not told")


ABOUT: Final = About(
    target="/PROGRAM",
    example="command:/usr/local/libexec/publish-key?read_back=sha256&place=staging",
    happens="A program of yours is run. `PROGRAM publish` gets the key as its standard input, never as an argument or"
    " in its environment, where `ROTATION_ID`, `ROTATION_NAME`, `ROTATION_VERSION`, `ROTATION_SEQUENCE`,"
    " `ROTATION_SECRET_NAME` and `ROTATION_PLACE` say what it is. `read-back` prints what is there, `check` looks"
    " whether it could publish, `withdraw` takes it away. Exit code 0: done; 3: there is a greater sequence of this"
    " rotation; 75: try again later; 77: not permitted; any other needs a person. An example is in"
    " `tasks/publishers/command.py`. Never over HTTP",
    auth="it runs as the worker's user, with a clean environment; neither the file nor its folder may be writable by"
    " group or others",
    proves="`PROGRAM read-back` printed the key's SHA-256, or the key; with `read_back=none` only that the program took"
    " this key",
    options=CommandOptions,
)


def open_publisher(target: Secret) -> CommandPublisher:
    """The publisher for a program; raises ``InvalidInput``. The file system is not asked yet."""
    path, _, query = target.reveal().partition("?")
    if not path.isprintable() or path.endswith("/"):
        raise InvalidInput(FIELD, "command needs the path of a program.", f"For example: --publish {ABOUT.example!r}")
    return CommandPublisher(validated(CommandOptions, {**query_options(CommandOptions, query), "path": path}), target)


class CommandPublisher:
    """One place of one program."""

    def __init__(self, options: CommandOptions, target: Secret) -> None:
        self._options = options
        self._target = target

    @property
    def label(self) -> str:
        """Kind, program and place."""
        place = f"?place={self._options.place}" if self._options.place else ""
        return f"command:{self._options.path}{place}"

    @property
    def target(self) -> Secret:
        """As it was given."""
        return self._target

    @property
    def uses(self) -> tuple[MachineUse, ...]:
        """The program."""
        return uses_of(self._options)

    @property
    def holds_variables(self) -> bool:
        """A program may ignore the name, and then one key would replace the other: each has a ``place`` of its own."""
        return False

    def check(self, secret_name: str) -> None:
        """Raise unless the program may be run and says that it could publish."""
        self._asked("check", {"SECRET_NAME": secret_name})

    def publish(self, publication: Publication) -> str | None:
        """Hand the program the key. With ``read_back=none`` its first line is the receipt, behind a fingerprint."""
        given = printable(publication.value)
        ended = self._asked("publish", _told(publication), given=given, hidden=publication.value)
        if ended.status == NEWER:
            raise self._stale(publication)
        if self._options.read_back != "none":
            return None
        line = shown(ended.printed.strip().partition(b"\n")[0], publication.value)
        return f"{fingerprint(publication.value)} {line}".strip()[:_LONGEST_RECEIPT]

    def read_back(self, secret_name: str, expected: Secret, receipt: str | None = None) -> Holding:
        """What the program prints; where it has no ``read-back``, what it took last."""
        if self._options.read_back == "none":
            return Holding.SAME if matches(receipt, expected) else Holding.OTHER
        ended = self._asked("read-back", {"SECRET_NAME": secret_name}, hidden=expected)
        printed = ended.printed.decode(errors="replace").strip("\r\n")
        if not printed:
            return Holding.NOTHING
        if self._options.read_back == "sha256":
            printed, expected = self._digest(printed), sha256(expected)
        return Holding.SAME if Secret(printed) == expected else Holding.OTHER

    def withdraw(self, publication: Publication) -> None:
        """Have the program take the key away; that it holds another one is no error."""
        self._asked("withdraw", _told(publication), hidden=publication.value)

    def _digest(self, printed: str) -> str:
        """The first word, as ``sha256sum`` prints it."""
        digest = printed.split(maxsplit=1)[0] if printed.strip() else ""
        if not _SHA256.fullmatch(digest):
            raise OperatorNeeded(
                f"{self.label}: what read-back printed is no SHA-256; it is not shown, since it may be the key.",
                "Let the program print 64 hexadecimal digits, or publish with read_back=value.",
            )
        return digest.lower()

    def _asked(self, action: str, told: dict[str, str], *, given: str = "", hidden: Secret | None = None) -> Ended:
        """What the program did, if it did well, or when it holds a newer publication and changes nothing."""
        options = self._options
        self._refuse_untrusted()
        try:
            ended = run(
                options.path,
                action,
                given=given.encode(),
                environment={**_passed_on(), **self._variables(action, told)},
                timeout_s=options.timeout_s,
            )
        except OSError as error:
            raise not_started(error, self.label, action) from error
        if ended.status == 0 or (ended.status == NEWER and action in CHANGING):
            return ended
        raise failure(ended, self.label, action, timeout_s=options.timeout_s, hidden=hidden)

    def _refuse_untrusted(self) -> None:
        try:
            refuse_untrusted(self._options.path)
        except OperatorNeeded as error:
            error.message = f"{self.label}: {error.message}"
            raise

    def _variables(self, action: str, told: dict[str, str]) -> dict[str, str]:
        asked = {"ACTION": action, "PLACE": self._options.place, "READ_BACK": self._options.read_back, **told}
        return {f"ROTATION_{name}": value for name, value in asked.items()}

    def _stale(self, publication: Publication) -> Conflict:
        return Conflict(
            f"{self.label}: the program says that its place holds a newer publication of rotation"
            f" {publication.rotation_name} than version {publication.version} (sequence {publication.sequence});"
            " it was left as it is.",
            "If the rotator's database was restored from a backup, make the program forget the sequence that it knows.",
        )


def _told(publication: Publication) -> dict[str, str]:
    return {
        "SECRET_NAME": publication.secret_name,
        "ID": publication.rotation_id,
        "NAME": publication.rotation_name,
        "VERSION": str(publication.version),
        "SEQUENCE": str(publication.sequence),
    }


def _passed_on() -> dict[str, str]:
    """What a program needs of our environment; of our settings, which hold secrets, it gets none."""
    found = {name: value.reveal() for name in _PASSED_ON if (value := variable(name))}
    return {"PATH": os.defpath, **found}
