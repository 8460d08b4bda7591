"""The files that pages load: scripts, styles and pictures of ours, and in ``vendor/`` those of others.

All are read once. What is asked for is looked up by its whole name, so there is no path to play tricks with.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from worker.web.access.gate import guarded_router

FOLDER: Final = Path(__file__).with_name("static")
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
"""What is served; a licence or a list of hashes is not."""
_FOR_GOOD: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "public, no-cache"
_VERSION_LENGTH: Final = 16

router = guarded_router(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is sent."""

    content: bytes
    media_type: str
    version: str
    """Changes whenever the content does."""


@cache
def assets() -> dict[str, Asset]:
    """Every file by its name below ``/static/``."""
    return {
        path.relative_to(FOLDER).as_posix(): _read(path)
        for path in sorted(FOLDER.rglob("*"))
        if path.suffix in _TYPES and path.is_file()
    }


def asset_url(name: str) -> str:
    """Where a page finds a file; another address once its content is another. Raises ``KeyError`` without it."""
    return f"/static/{name}?v={assets()[name].version}"


@router.get("/static/{name:path}")
async def asset(name: str, request: Request, v: str | None = None) -> Response:
    """A file; a browser keeps for good what it asked for by its version, and asks again for what it did not."""
    found = assets().get(name)
    if found is None:
        raise HTTPException(404)
    etag = f'"{found.version}"'
    headers = {"ETag": etag, "Cache-Control": _FOR_GOOD if v == found.version else _ASK_AGAIN}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.media_type, headers=headers)


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(content, _TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:_VERSION_LENGTH])
