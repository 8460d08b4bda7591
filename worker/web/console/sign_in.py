"""In and out: a token becomes a session."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from worker.web.access.gate import guarded_router
from worker.web.access.sessions import local_path, sign_in, sign_out
from worker.web.console.forms import Fault, Form
from worker.web.console.rendering import go_to, page
from worker.web.errors import Denied

router = guarded_router(tags=["console"], include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/sign-in")
def console_sign_in(request: Request, next: str = "/") -> HTMLResponse:
    """The form."""
    return page(request, "sign_in.html", title="Sign in", next=local_path(next))


@router.post("/sign-in")
def console_begin_session(request: Request, form: Form) -> Response:
    """Begin a session, and go where one wanted to."""
    wanted = local_path(form["next"])
    try:
        begun = sign_in(request, form["token"])
    except Denied as denied:
        fault = Fault("token", denied.message, "Copy it again, or ask for another one.")
        made = page(request, "sign_in.html", title="Sign in", status=denied.status, next=wanted, faults=[fault])
        if denied.retry_after_s is not None:
            made.headers["Retry-After"] = str(denied.retry_after_s)
        return made
    response = go_to(wanted)
    begun.keep(response)
    return response


@router.post("/sign-out")
def console_end_session(request: Request) -> Response:
    """End the session."""
    response = go_to("/sign-in", "signed-out")
    sign_out(request, response)
    return response
