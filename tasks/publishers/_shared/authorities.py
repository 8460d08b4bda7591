"""The certificates that a destination's server is checked against, where the target names a file of them."""

from __future__ import annotations

import ssl
from pathlib import Path

from tasks.publishers._shared.regular import fault_of
from tasks.rotation.errors import OperatorNeeded


def authorities(label: str, file: Path | None) -> str | None:
    """The file's path, for a client that would say less of one it cannot use; None for the system's own authorities.

    Raises ``OperatorNeeded``.
    """
    if file is None:
        return None
    if fault := fault_of(file):
        raise OperatorNeeded(
            f"{label}: {file}, which should hold certificates, {fault}; nothing was changed.", "Name a file of PEM."
        )
    try:
        ssl.create_default_context(cafile=str(file))
    except OSError as error:
        raise OperatorNeeded(
            f"{label}: the certificates in {file} cannot be read; nothing was changed.",
            "Let the worker's user read them; they must be PEM.",
        ) from error
    return str(file)
