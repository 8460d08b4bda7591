"""Where keys are published. Each kind is one file of this folder, found by its name and imported on demand.

The file ``aws_ssm.py`` is the kind ``aws-ssm``; what begins with an underscore is no kind. A kind offers one
function, ``open_publisher(target: Secret) -> StoredPublisher``, which raises ``InvalidInput`` for a target that it
cannot use, and says in ``ABOUT`` what people should know of it. Kinds do not import each other. What any of them may
need is in ``_shared``; how one sort of place is spoken to is in a folder of ``_places``. Importing a kind imports no
optional client: see ``_shared.extras``.
"""

from __future__ import annotations

import re
from importlib import import_module
from pkgutil import iter_modules
from typing import Final, Protocol, cast

from config.secret import Secret
from tasks.publishers._shared.about import About
from tasks.publishers._shared.uses import MachineUse
from tasks.rotation.errors import InvalidInput
from tasks.rotation.ports import Publisher

_PRINTABLE_KIND: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")


class StoredPublisher(Publisher, Protocol):
    """A publisher that can be opened again, by another process elsewhere."""

    @property
    def target(self) -> Secret:
        """The target to store: complete, and independent of the working directory."""

    @property
    def uses(self) -> tuple[MachineUse, ...]:
        """All that it would use of the machine that it is opened on; see ``_shared.uses``."""

    @property
    def holds_variables(self) -> bool:
        """Whether the place holds a key for each secret name; otherwise there is room for one rotation only."""


class _Kind(Protocol):
    """What a file of this folder offers."""

    ABOUT: About

    def open_publisher(self, target: Secret) -> StoredPublisher: ...


def kinds() -> tuple[str, ...]:
    """Every kind that can be published to, in alphabetical order. Imports none of them."""
    names = (module.name for module in iter_modules(__path__))
    return tuple(sorted(name.replace("_", "-") for name in names if not name.startswith("_")))


def about(kind: str) -> About:
    """What a kind says of itself. Imports it, but not its client."""
    return _kind(kind).ABOUT


def open_publisher(kind: str, target: Secret) -> StoredPublisher:
    """The publisher of ``kind`` for ``target``; nothing is contacted yet.

    Raises ``InvalidInput`` for an unknown kind, and for a target that the kind cannot use. No message repeats the
    target, which may contain credentials.
    """
    if kind not in kinds():
        raise InvalidInput("--publish", f"unknown kind{_quoted(kind)}.", _known_kinds())
    return _kind(kind).open_publisher(target)


def split_publish(text: str) -> tuple[str, Secret]:
    """What a person wrote as ``KIND:TARGET``, as the kind and the target to store.

    The target is validated, and completed where it depends on this process (a relative path). Raises
    ``InvalidInput``; whether the place can be reached and written is what ``Publisher.check`` tells.
    """
    kind, colon, target = text.partition(":")
    if not (colon and target):
        raise InvalidInput("--publish", "it must be KIND:TARGET, for example dotenv:app.env.", _known_kinds())
    return kind, open_publisher(kind, Secret(target)).target


def _kind(kind: str) -> _Kind:
    return cast(_Kind, import_module(f"{__name__}.{kind.replace('-', '_')}"))


def _quoted(kind: str) -> str:
    """The kind if it looks like one; anything else may be part of a credential and is not repeated."""
    return f" '{kind}'" if _PRINTABLE_KIND.fullmatch(kind) else ""


def _known_kinds() -> str:
    return f"Known kinds: {', '.join(kinds())}."
