"""What people are told of a kind before they use it. The README's table of destinations is made of it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class About:
    """What a kind says of itself. Every text is a phrase or a few sentences, in Markdown."""

    target: str
    """How TARGET is written, without options: ``URL#KEY``."""
    example: str
    """A whole one that could be pasted behind ``--publish``, options included."""
    happens: str
    """What happens there when a key is published, and what stays as it is."""
    auth: str
    """How it proves who it is, and which rights it needs."""
    proves: str
    """What reading back proves."""
    options: type[BaseModel]
    """Those of its fields that have a description are the options behind the question mark."""
    extra: str | None = None
    """The optional dependency that carries its client: ``openrouter-rotator[EXTRA]``."""


def options_of(about: About) -> dict[str, str]:
    """The options behind the question mark, and what each is for."""
    fields = about.options.model_fields.items()
    return {name: field.description for name, field in fields if field.description}
