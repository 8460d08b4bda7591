"""The whole: its state, and its comparison with OpenRouter."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from tasks.operations.views import StatusView
from worker.web.api.answers import FindingList, told
from worker.web.api.bodies import Comparison
from worker.web.api.parts import ASKING, own_router
from worker.web.api.shapes import shape_of
from worker.web.context import operations_of, web_of
from worker.web.openapi import failing
from worker.web.waiting import slowly

router = own_router("installation")


@router.get("/status", response_model=shape_of(StatusView))
def show_status(request: Request) -> Response:
    """Every connection and rotation as it stood at `now`, and when beat last ticked. Asked more than twenty times a
    second, all who ask within half a second get the same answer."""
    status = operations_of(request).status  # the same for every role that may ask
    body = web_of(request).status.answer(lambda: bytes(JSONResponse(told(status())).body))
    return Response(body, media_type="application/json")


@router.post("/reconcile", response_model=shape_of(FindingList), responses=failing(404, 409, 422, *ASKING))
@slowly
def reconcile(request: Request, wanted: Comparison) -> object:
    """Compare what OpenRouter has with what is recorded, and clean up what is ours and forgotten."""
    return told(FindingList(operations_of(request).reconcile(wanted.connection)))
