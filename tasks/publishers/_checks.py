"""What every publisher asks of a target and of a value before it uses them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar
from urllib.parse import parse_qsl

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
        faults = [f"{_place(fault['loc'])}{fault['msg']}" for fault in error.errors(include_url=False)]
    # Raised outside the handler: the foreign error holds the rejected input, which may be a password.
    raise InvalidInput(FIELD, f"{'; '.join(faults)}.")


def query_options(model: type[BaseModel], query: str) -> dict[str, str]:
    """The ``name=value&...`` behind a target's question mark; raises ``InvalidInput``.

    Known are the fields of ``model`` with a description, the others are not for people. The unknown name is not
    repeated: it may be part of a password whose '?' was not encoded.
    """
    known = {name for name, field in model.model_fields.items() if field.description}
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        options = None
    if options is None or not options.keys() <= known:
        raise InvalidInput(
            FIELD,
            f"what follows '?' must be name=value, with a name of: {', '.join(sorted(known))}.",
            "In a URL, write a '?' that belongs to a password as %3F.",
        )
    return options


def printable(value: Secret) -> str:
    """The text to send. Raises ``Broken`` for control characters and the like, which no key contains."""
    text = value.reveal()
    if not text.isprintable():
        raise Broken("the key to publish contains characters that cannot be printed; nothing was written.")
    return text


def _place(location: tuple[int | str, ...]) -> str:
    return f"{'.'.join(map(str, location))}: " if location else ""
