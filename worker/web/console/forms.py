"""What a person typed, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends
from starlette.datastructures import FormData
from starlette.requests import Request

from config.redaction import redact
from config.secret import Secret
from tasks.rotation.errors import Conflict, InvalidInput, OutcomeUnknown, RotatorError, TryAgain
from worker.web.errors import in_words_of

_LONGEST: Final = 4000
LABELS: Final[Mapping[str, str]] = {
    "--name": "Name",
    "--key-name": "Key name",
    "--limit": "Spending limit",
    "--limit-reset": "Refill",
    "--workspace-id": "Workspace",
    "--expires-after": "Expiry",
    "--every": "Interval",
    "--at": "Time of day",
    "--cron": "Cron expression",
    "--timezone": "Time zone",
    "--window": "Spread",
    "--overlap": "Overlap",
    "--cooling": "Cooling",
    "--secret-name": "Secret name",
    "--publish": "Target",
    "--description": "Description",
}
"""What the options of the command line are called on our pages."""
_FIELDS: Final = {"NAME": "name", "--rename": "name", "--publish": "target", "--include-byok-in-limit": "byok"}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong: with one field, or, where ``field`` is empty, with the whole."""

    field: str
    message: str
    remedy: str = ""

    @classmethod
    def of(cls, error: RotatorError) -> Fault:
        """An error of ours, in the words of a page."""
        remedy = redact(in_words_of(error.remedy, LABELS))
        if not isinstance(error, InvalidInput):
            return cls("", redact(in_words_of(error.message, LABELS)), remedy)
        return cls(field_of(error.field), redact(_sentence(in_words_of(error.problem, LABELS))), remedy)


class Typed(Mapping[str, str]):
    """The fields of a form by name; a field that was not sent is blank. Secrets are taken by ``secret`` alone."""

    def __init__(self, form: Mapping[str, str]) -> None:
        self._form = dict(form)

    def __getitem__(self, name: str) -> str:
        return self._form.get(name, "").strip()

    def __iter__(self) -> Iterable[str]:  # type: ignore[override]  # an iterator is one
        return iter(self._form)

    def __len__(self) -> int:
        return len(self._form)

    def given(self, name: str) -> str | None:
        """A field, or None when it is blank."""
        return self[name] or None

    def secret(self, name: str) -> Secret | None:
        """A field that nobody may see."""
        return Secret(self[name]) if self[name] else None

    def needed_secret(self, name: str) -> Secret:
        """A field that nobody may see, and that must not be blank. Raises ``InvalidInput``."""
        if not self[name]:
            raise InvalidInput(name, "it is missing", "Paste it here; what was typed before is not kept.")
        return Secret(self[name])

    def without(self, *secret: str) -> dict[str, str]:
        """What may be shown again."""
        return {name: self[name] for name in self._form if name not in {*secret, "csrf"}}


async def _typed(request: Request) -> Typed:
    form: FormData = await request.form(max_files=0, max_fields=100)
    texts = {name: value for name, value in form.items() if isinstance(value, str)}
    for name, value in texts.items():
        if len(value) > _LONGEST and name != "draft":
            raise InvalidInput(field_of(name), "it is too long", f"Use at most {_LONGEST} characters.")
        if not value.isprintable():
            raise InvalidInput(
                field_of(name), "it has characters that cannot be printed", "Use one line of plain text."
            )
    return Typed(texts)


Form = Annotated[Typed, Depends(_typed)]
"""The form that came with the request."""


def field_of(name: str) -> str:
    """The field on our pages that an option of the command line is."""
    return _FIELDS.get(name, name.removeprefix("--").replace("-", "_"))


def status_of(error: RotatorError) -> int:
    """The status of a form that comes back. A key that OpenRouter refused is a field like any other: who sent it is
    signed in, so that 401 would say the wrong thing."""
    if isinstance(error, TryAgain | OutcomeUnknown):
        return 503
    return 409 if isinstance(error, Conflict) else 422


def confirmed(typed: Typed, name: str) -> None:
    """Raise ``InvalidInput`` unless the name was typed."""
    if typed["confirm"] != name:
        raise InvalidInput("confirm", "it is not the name, so nothing was done", f"Type {name} exactly.")


def number(typed: Typed, field: str, option: str) -> float | None:
    """A number, or None when it is blank. Raises ``InvalidInput``."""
    text = typed.given(field)
    try:
        return None if text is None else float(text)
    except ValueError:
        raise InvalidInput(option, "it is not a number", "Write digits and a point, like 25 or 12.50.") from None


def _sentence(problem: str) -> str:
    return f"{problem[:1].upper()}{problem[1:].rstrip('.')}."
