"""HTML from templates: everything is escaped, and a name that a template lacks is a fault, not a blank."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse

from tasks.rotation.errors import NotFound, RotatorError
from tasks.store.tokens import Role
from worker import plain
from worker.web.access.caller import Caller
from worker.web.assets import asset_url
from worker.web.console import words
from worker.web.console.forms import LABELS, Fault, Typed, status_of
from worker.web.context import web_of
from worker.web.errors import in_words_of

_PAGES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.filters |= {
    "iso": plain.iso,
    "moment": plain.moment,
    "span": plain.span,
    "day": lambda at: at.strftime("%a %d %b"),
    "clock": lambda at: at.strftime("%H:%M"),
    "distance": plain.distance,
    "words": words.plain_words,
    "counted": words.counted,
    "usd": words.usd,
    "in_words": lambda text: in_words_of(text, LABELS),
    "pair": lambda text: (text, text),
}
_PAGES.globals |= {
    "Role": Role,
    "STATUS": words.STATUS,
    "HEALTH": words.HEALTH,
    "STATES": words.STATES,
    "asset_url": asset_url,
}
_PAGES.globals |= {"event_title": words.event_title, "event_about": words.event_about, "event_tone": words.event_tone}


def page(request: Request, template: str, /, *, title: str, status: int = 200, **facts: Any) -> HTMLResponse:
    """A page. ``facts`` are the template's own; who looks, the form's proof and the time are there anyway."""
    return HTMLResponse(text_of(request, template, title=title, **facts), status)


def refused(
    request: Request,
    template: str,
    /,
    *,
    form: Typed,
    error: RotatorError,
    at: str = "",
    secret: tuple[str, ...] = (),
    **facts: Any,
) -> HTMLResponse:
    """The form once more, with what is wrong (at the field ``at``, where the error names none) and what was typed but
    for its secrets. What is not there at all is no form's fault, and is raised."""
    if isinstance(error, NotFound):
        raise error
    fault = Fault.of(error)
    fault = fault if fault.field else replace(fault, field=at)
    typed = form.without(*secret)
    return page(request, template, status=status_of(error), faults=[fault], typed=typed, **facts)


def text_of(request: Request, template: str, /, **facts: Any) -> str:
    """The HTML of a page, or of a part of one."""
    caller: Caller | None = getattr(request.state, "caller", None)
    known: dict[str, object] = {
        "visitor": caller,
        "role": None if caller is None else caller.role,
        "may_operate": caller is not None and caller.role in {Role.OPERATOR, Role.ADMIN},
        "may_administer": caller is not None and caller.role is Role.ADMIN,
        "csrf": getattr(request.state, "csrf", ""),
        "path": request.url.path,
        "folders": web_of(request).settings.web_folders,
        "said": words.SAID.get(request.query_params.get("said", "")),
        "faults": (),
        "typed": {},
    }
    return _PAGES.get_template(template).render(known | facts)


def now_of(request: Request) -> datetime:
    """The database's clock, which all times are told by."""
    return web_of(request).rotator.store.now()


def go_to(path: str, said: str | None = None) -> RedirectResponse:
    """See the page at ``path`` next, with what was done (a key of ``words.SAID``) on top of it."""
    return RedirectResponse(path if said is None else f"{path}?said={said}", 303)
