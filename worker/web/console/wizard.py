"""A new rotation in five steps: behaviour, key, places, name, review.

Between two steps what was filled in is with the browser, as a sealed draft: it may hold a destination's credential.
Each step is asked of ``Operations`` as if the rest were right already, so that a fault is told where it belongs.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, cast

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from config.secret import Secret
from tasks.operations import Operations
from tasks.operations.views import RotationPreview
from tasks.rotation.errors import Conflict, InvalidInput, NotFound, RotatorError
from worker.web.access.gate import guarded_router
from worker.web.access.sessions import csrf_of
from worker.web.console import order
from worker.web.console.forms import Fault, Form, Typed, field_of, status_of
from worker.web.console.rendering import go_to, now_of, page
from worker.web.context import operations_of, web_of
from worker.web.waiting import slowly

router = guarded_router(tags=["console"], include_in_schema=False, default_response_class=HTMLResponse)

STEPS: Final = {
    "behaviour": "Behaviour",
    "key": "Key",
    "places": "Where to publish",
    "name": "Name",
    "review": "Review",
}
_ORDER: Final = tuple(STEPS)
_FIELDS: Final = {
    "behaviour": (*order.BEHAVIOUR, "first"),
    "key": order.PARAMETERS,
    "places": ("secret_name",),
    "name": ("name", "description", "connection"),
    "review": (),
}
_BEGIN: Final = {
    "how": "every",
    "every": "30d",
    "at": "03:00",
    "timezone": "UTC",
    "overlap": "24h",
    "cooling": "24h",
    "secret_name": "OPENROUTER_API_KEY",
    "first": "now",
}
_MOST_PLACES: Final = 50


@dataclass(frozen=True, slots=True)
class Draft:
    """What was filled in so far. ``publish`` holds ``KIND:TARGET`` texts, ``labels`` what they are called."""

    typed: dict[str, str] = field(default_factory=lambda: dict(_BEGIN))
    publish: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    def with_step(self, step: str, form: Typed) -> Draft:
        """With what was typed on one step."""
        return replace(self, typed=self.typed | {name: form[name] for name in _FIELDS[step]})

    def places(self) -> tuple[Secret, ...]:
        """Where to publish."""
        return tuple(Secret(text) for text in self.publish)


@router.get("/new-rotation")
def console_new_rotation(request: Request, connection: str = "") -> HTMLResponse:
    """The first step."""
    draft = Draft()
    if connection:
        draft = replace(draft, typed=draft.typed | {"connection": connection})
    return _step(request, draft, "behaviour")


@router.post("/new-rotation")
@slowly
def console_continue_rotation(request: Request, form: Form) -> Response:
    """The next step, or another one; after the last, the rotation."""
    step = form["step"] if form["step"] in STEPS else "behaviour"
    try:
        draft = _opened(request, form).with_step(step, form)
    except RotatorError as error:
        return _step(request, Draft(), "behaviour", error)
    return _go(request, draft, step, form)


def _go(request: Request, draft: Draft, step: str, form: Typed) -> Response:
    wish, operations = form["go"], operations_of(request)
    if wish.startswith("to-") and wish[3:] in STEPS:
        return _step(request, draft, wish[3:])
    if wish.startswith("drop-"):
        return _step(request, _without(draft, wish[5:]), "places")
    try:
        if step == "places" and (wish == "add" or form["target"]):
            draft = _with_place(operations, draft, form)
        if wish == "add":
            return _step(request, draft, "places")
        if step == "review":
            return _create(operations, draft)
        _ask(operations, draft, upto=step)
    except RotatorError as error:
        at = _step_of(error, step)
        return _step(request, draft, at, error, kind=form["kind"])
    return _step(request, draft, _ORDER[_ORDER.index(step) + 1])


def _create(operations: Operations, draft: Draft) -> Response:
    view = operations.create_rotation(order.request_in(Typed(draft.typed), draft.places()))
    return go_to(f"/rotations/{view.name}", "created" if draft.typed["first"] != "later" else "waits")


def _ask(operations: Operations, draft: Draft, *, upto: str) -> RotationPreview:
    """What the draft would make, if the steps after ``upto`` were filled in well."""
    wanted = order.request_in(Typed(draft.typed), ())
    reached = _ORDER.index(upto)
    if reached < _ORDER.index("name"):
        wanted = replace(wanted, name=f"draft-{secrets.token_hex(8)}", connection=_some_connection(operations))
    if reached < _ORDER.index("key"):
        wanted = replace(
            wanted, key_name="key", limit_usd=None, limit_reset=None, workspace_id=None, expires_after=None
        )
    return operations.preview_rotation(wanted)


def _some_connection(operations: Operations) -> str:
    found = operations.list_connections()
    if not found:
        raise Conflict("There is no connection to mint keys with.", "Add a connection first.")
    return found[0].name


def _step_of(error: RotatorError, step: str) -> str:
    """The step that a fault belongs to."""
    if isinstance(error, NotFound):
        return "name"
    if isinstance(error, InvalidInput):
        name = field_of(error.field)
        return next((s for s, fields in _FIELDS.items() if name in fields), "places" if name == "target" else step)
    return "name" if isinstance(error, Conflict) and step == "review" else step


# --- places ------------------------------------------------------------------------------------------------------


def _with_place(operations: Operations, draft: Draft, form: Typed) -> Draft:
    if len(draft.publish) >= _MOST_PLACES:
        raise InvalidInput("--publish", "there are too many", f"Publish to at most {_MOST_PLACES} places.")
    text = order.publish_in(form)
    label, stored = operations.destination_named(text)
    if label in draft.labels:
        raise InvalidInput("--publish", "it is in the list already", "Name another place.")
    return replace(draft, publish=(*draft.publish, stored.reveal()), labels=(*draft.labels, label))


def _without(draft: Draft, index: str) -> Draft:
    if not (index.isascii() and index.isdigit()):
        return draft
    kept = [i for i in range(len(draft.publish)) if i != int(index)]
    return replace(draft, publish=tuple(draft.publish[i] for i in kept), labels=tuple(draft.labels[i] for i in kept))


# --- draft and page ----------------------------------------------------------------------------------------------


def _opened(request: Request, form: Typed) -> Draft:
    if not form["draft"]:
        return Draft()
    drafts = web_of(request).rotator.store.drafts
    fields = drafts.open(form["draft"], holder=csrf_of(request), now=now_of(request))
    return Draft(
        cast("dict[str, str]", fields["typed"]),
        tuple(cast("list[str]", fields["publish"])),
        tuple(cast("list[str]", fields["labels"])),
    )


def _sealed(request: Request, draft: Draft) -> str:
    fields = {"typed": draft.typed, "publish": draft.publish, "labels": draft.labels}
    drafts = web_of(request).rotator.store.drafts
    return drafts.seal(fields, holder=csrf_of(request), now=now_of(request))


def _step(
    request: Request, draft: Draft, step: str, error: RotatorError | None = None, *, kind: str = ""
) -> HTMLResponse:
    operations = operations_of(request)
    preview: RotationPreview | None = None
    if step == "review" and error is None:
        try:
            preview = operations.preview_rotation(order.request_in(Typed(draft.typed), draft.places()))
        except RotatorError as wrong:
            return _step(request, draft, _step_of(wrong, "review"), wrong)
    return page(
        request,
        f"wizard_{step}.html",
        title=f"New rotation: {STEPS[step]}",
        status=200 if error is None else status_of(error),
        faults=tuple(_faults(error, step)),
        typed=draft.typed | {"kind": kind},
        draft=_sealed(request, draft),
        labels=draft.labels,
        step=step,
        steps=tuple(STEPS.items()),
        reached=_ORDER.index(step),
        connections=operations.list_connections(),
        kinds=operations.destination_kinds(),
        preview=preview,
        now=now_of(request),
    )


def _faults(error: RotatorError | None, step: str) -> Iterator[Fault]:
    if error is None:
        return
    fault = Fault.of(error)
    at = {"places": "target", "name": "connection" if isinstance(error, NotFound) else "name"}.get(step, "")
    yield fault if fault.field or step not in {"places", "name"} else replace(fault, field=at)
