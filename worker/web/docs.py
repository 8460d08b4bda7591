"""``/openapi.json`` and ``/docs``: the API described for programs and for people.

Both are open to everybody. They tell what the published source tells, and nothing of this installation.
"""

from __future__ import annotations

import hashlib
import json
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response

from worker.web.access.gate import guarded_router
from worker.web.assets import asset_url
from worker.web.openapi import document_of

router = guarded_router(include_in_schema=False)

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API of openrouter-rotator</title>
<link rel="icon" href="{icon}">
<link rel="stylesheet" href="{style}">
<script src="{bundle}" defer></script>
<script src="{begin}" defer></script>
</head>
<body>
<div id="api"></div>
<noscript><p>This page needs JavaScript. <a href="/openapi.json">/openapi.json</a> says the same.</p></noscript>
</body>
</html>
"""
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""As strict as elsewhere, but for the pictures that Swagger UI's style sheet carries in itself."""


@router.get("/docs")
async def docs() -> HTMLResponse:
    """The API for people: read it, and try it with a token."""
    page = _PAGE.format(
        icon=asset_url("mark.svg"),
        style=asset_url("vendor/swagger-ui.css"),
        bundle=asset_url("vendor/swagger-ui-bundle.js"),
        begin=asset_url("docs.js"),
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"})


@router.get("/openapi.json")
async def openapi_document(request: Request) -> Response:
    """The API for programs."""
    content = _written(request.app)
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {"ETag": etag, "Cache-Control": "public, no-cache"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


def _written(app: FastAPI) -> bytes:
    """The document, made at the first call."""
    if not hasattr(app.state, "openapi"):
        app.state.openapi = json.dumps(document_of(app), separators=(",", ":")).encode()
    written: bytes = app.state.openapi
    return written
