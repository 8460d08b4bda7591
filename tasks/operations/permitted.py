"""What a destination may use of the machine on which it is opened, by where whoever names it stands.

Over HTTP a target may hold a credential of its own, but names nothing of this machine unless the machine's operator
allowed it: whoever asks there need not have an account here. Without that rule a destination could send any file or
variable to any host, replace what a shell reads, or act as whatever this machine is elsewhere.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final, assert_never

from config.settings import Settings
from tasks.publishers import StoredPublisher
from tasks.publishers._shared.regular import is_systems_own, real
from tasks.publishers._shared.uses import (
    ActsAs,
    MachineUse,
    OpensSocket,
    ReadsFile,
    ReadsVariable,
    RunsProgram,
    WritesFile,
)
from tasks.rotation.errors import InvalidInput

_HERE: Final = "on a machine of the workers, the command line may"


def refuse_from_afar(settings: Settings, written: str, publisher: StoredPublisher) -> None:
    """Raise ``InvalidInput`` for a destination that may not be named over HTTP. ``written`` is the target as it was
    given: a path in it must not mean something else in another folder, or to another user.

    Nothing that is refused was looked at, so a refusal does not tell what exists.
    """
    if any(isinstance(use, WritesFile) for use in publisher.uses) and not written.startswith("/"):
        raise InvalidInput("--publish", "it is not an absolute path", "Begin it with a slash, such as /etc/app/.env.")
    for use in sorted(publisher.uses, key=_can_be_opened):
        _refuse_use(settings, use)


def refuse_our_own(settings: Settings, publisher: StoredPublisher) -> None:
    """Raise ``InvalidInput``, whoever asks, for a file that no destination should replace or send away: what we keep
    ourselves, and what is none but tells of processes. That any other is a regular file, trying the destination tells.
    """
    for use in publisher.uses:
        if isinstance(use, WritesFile | ReadsFile):
            if is_systems_own(use.path):
                raise InvalidInput("--publish", f"{use.option} leads into /proc, /dev or /sys", "Name a regular file.")
            if any(map(partial(_is_in, use.path), settings.own_places)):
                raise InvalidInput(
                    "--publish",
                    f"{use.option} names a file of the rotator's own",
                    "Its data folder and the files of its settings are for nothing else.",
                )


def refuse_renaming_from_afar(label: str, publisher: StoredPublisher) -> None:
    """Raise ``InvalidInput`` where a program is told under which name to publish: to say another one is to name another
    place."""
    if any(isinstance(use, RunsProgram) for use in publisher.uses):
        raise InvalidInput(
            "--secret-name",
            f"{label} is told it, and that cannot be asked for over HTTP",
            "On a machine of the workers, the command line may.",
        )


def is_never_from_afar(publisher: StoredPublisher) -> bool:
    """Whether no setting opens it to whoever asks over HTTP."""
    return not all(map(_can_be_opened, publisher.uses))


def _can_be_opened(use: MachineUse) -> bool:
    return not isinstance(use, RunsProgram | OpensSocket)


def _refuse_use(settings: Settings, use: MachineUse) -> None:
    match use:
        case RunsProgram() | OpensSocket():
            raise InvalidInput(
                "--publish", f"{use.option} cannot be asked for over HTTP", f"No setting opens it; {_HERE}."
            )
        case WritesFile() | ReadsFile():
            if not any(_is_below(use.path, folder) for folder in settings.web_folders):
                raise _closed(f"{use.option} names a file that is in no folder opened to requests over HTTP", "FOLDERS")
        case ReadsVariable():
            if use.name not in settings.web_variables:
                raise _closed(f"{use.option} names a variable that is not opened to requests over HTTP", "VARIABLES")
        case ActsAs():
            if not settings.web_identities:
                raise _closed(f"it would act as what this machine is to {use.whose}", "IDENTITIES")
        case _:
            assert_never(use)


def _closed(problem: str, setting: str) -> InvalidInput:
    return InvalidInput("--publish", problem, f"The server's setting ROTATOR_WEB_{setting} can allow it; {_HERE}.")


def _is_below(path: Path, folder: Path) -> bool:
    """Whether it leads into the folder, whatever links there are on the way."""
    return real(folder) in real(path).parents


def _is_in(path: Path, place: Path) -> bool:
    """Whether it is the place, by whichever name, or something in it."""
    if real(path) == real(place) or _is_below(path, place):
        return True
    try:
        return path.samefile(place)
    except OSError:  # one of them is not there, or not for us to look at
        return False
