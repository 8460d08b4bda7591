"""ETag and If-Match: who changes something may say which state of it they looked at.

A tag is a view's ``revision``: it changes with what operators change, not with what the engine does meanwhile.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import Depends, Header
from starlette.responses import Response

from tasks.rotation.errors import InvalidInput

_TAG: Final = re.compile(r'"([\x21\x23-\x7e]{1,200})"')


def tag(response: Response, revision: str) -> None:
    """Say which state this answer shows."""
    response.headers["ETag"] = f'"{revision}"'


def wanted_revision(
    if_match: Annotated[str | None, Header(description="An ETag that a GET answered.")] = None,
) -> str | None:
    """The revision that a request insists on; None when it takes any. Raises ``InvalidInput`` for what is no tag."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = _TAG.fullmatch(if_match.strip())
    if found is None:
        raise InvalidInput("If-Match", "it is not one ETag", 'Send the ETag of a GET as it is, with its quotes: "...".')
    return found[1]


IfMatch = Annotated[str | None, Depends(wanted_revision)]
"""The ``if_revision`` of a change."""
