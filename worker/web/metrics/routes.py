"""The route that Prometheus scrapes."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import PlainTextResponse
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from worker.web.access.gate import guarded_router
from worker.web.context import web_of
from worker.web.metrics.collecting import collected

router = guarded_router(tags=["metrics"])


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(request: Request) -> PlainTextResponse:
    """How everything stands, in Prometheus's text format; give Prometheus a viewer's token."""
    web = web_of(request)
    text = generate_latest(collected(web.rotator, web.times))
    return PlainTextResponse(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)
