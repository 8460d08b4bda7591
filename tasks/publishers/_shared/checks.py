"""What every publisher asks of a target and of a value before it uses them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar
from urllib.parse import unquote

from pydantic import BaseModel, ValidationError

from config.secret import Secret
from tasks.rotation.errors import Broken, InvalidInput

FIELD: Final = "--publish"

Options = TypeVar("Options", bound=BaseModel)


def validated(model: type[Options], fields: Mapping[str, object]) -> Options:
    """The options of a target, or ``InvalidInput`` with every fault, none of which repeats what was given."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        found = error.errors(include_url=False)
        faults = [f"{_place(fault['loc'])}{fault['msg'].removeprefix('Value error, ')}" for fault in found]
    # Raised outside the handler: the foreign error holds the rejected input, which may be a password.
    raise InvalidInput(FIELD, f"{'; '.join(faults)}.")


def query_options(model: type[BaseModel], query: str) -> dict[str, str]:
    """The ``name=value&...`` behind a target's question mark, each name once; raises ``InvalidInput``.

    Values are percent-encoded, and a '+' is a '+': paths and credentials have some. Known are the fields of ``model``
    with a description, the others are not for people. The unknown name is not repeated: it may be part of a password
    whose '?' was not encoded.
    """
    known = {name for name, field in model.model_fields.items() if field.description}
    given = [option.partition("=") for option in query.split("&")] if query else []
    names = [name for name, _, _ in given]
    if not known.issuperset(names) or not all(equals for _, equals, _ in given):
        raise InvalidInput(
            FIELD,
            f"what follows '?' must be name=value, with a name of: {', '.join(sorted(known))}.",
            "In a URL, write a '?' that belongs to a password as %3F.",
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(
            FIELD, f"{twice} is given twice.", "Give it once; write a '&' that belongs to a value as %26."
        )
    return {name: unquote(value) for name, _, value in given}


def printable(value: Secret) -> str:
    """The text to send. Raises ``Broken`` for control characters and the like, which no key contains."""
    text = value.reveal()
    if not text.isprintable():
        raise Broken("the key to publish contains characters that cannot be printed; nothing was written.")
    return text


def _place(location: tuple[int | str, ...]) -> str:
    return f"{'.'.join(map(str, location))}: " if location else ""
