"""Our refusals in Infisical's words: what scripts look for in a message is there, and then what we know better."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tasks.rotation.errors import Conflict, CredentialRejected, InUse, InvalidInput, NameTaken, NotFound, Refused
from tasks.rotation.parameters import validated_slug

NAMES: Final = {
    "NAME": "name",
    "--rename": "name",
    "--description": "description",
    "--project-id": "projectId",
    "--environment": "environment",
    "--secret-path": "secretPath",
    "--connection": "connectionId",
    "--key-name": "parameters.name",
    "--limit": "parameters.limit",
    "--limit-reset": "parameters.limitReset",
    "--secret-name": "secretsMapping.apiKey",
    "--every": "rotationInterval",
    "--cron": "rotationInterval",
    "--at": "rotateAtUtc",
    "--publish": "destinations",
}
"""What the options of the command line are called here."""


@contextmanager
def about_connections(*, id_: str = "", name: str | None = None) -> Iterator[None]:
    """Tell a refusal about the connection with this id, which is, or shall be, called ``name``."""
    try:
        yield
    except NameTaken as error:
        raise Conflict(f'An App Connection with the name "{name}" already exists', error.remedy) from None
    except InUse as error:
        raise Conflict(_in_use(error.rotations), error.remedy) from None
    except NotFound as error:
        raise _no_connection(id_, error.remedy) from None
    except CredentialRejected as error:
        raise CredentialRejected(f"Unable to validate connection: {error.message}", error.remedy) from None


@contextmanager
def about_rotations(
    *, id_: str = "", name: str | None = None, path: str | None = None, connection_id: str | None = None
) -> Iterator[None]:
    """Tell a refusal about the rotation with this id, or about a new one of this connection."""
    try:
        yield
    except NameTaken as error:
        where = f'at the secret path "{path}"' if path else "here"
        raise Conflict(f'A Secret Rotation with the name "{name}" already exists {where}', error.remedy) from None
    except NotFound as error:
        if connection_id is not None:
            raise _no_connection(connection_id, error.remedy) from None
        raise no_rotation(id_, error.remedy) from None
    except CredentialRejected as error:  # a destination's: 401 is for OpenRouter's management key
        raise Refused(error.message, error.remedy) from None


def _in_use(rotations: tuple[str, ...]) -> str:
    return (
        "Cannot delete App Connection with existing connections. Remove all existing connections and try again. "
        f"These rotations use it: {', '.join(rotations)}."
    )


def _no_connection(id_: str, remedy: str) -> NotFound:
    return NotFound(f"Could not find App Connection with ID {id_}", remedy)


def no_connection_called(name: str, project_id: str | None) -> NotFound:
    """No connection has that name."""
    scope = "project" if project_id is not None else "organization"
    return NotFound(f"Could not find App Connection with name {_safe(name)} in {scope} scope.")


def no_rotation(id_: str, remedy: str = "") -> NotFound:
    """No rotation has that id."""
    return NotFound(f'Could not find OpenRouter API Key Rotation with ID "{id_}"', remedy)


def no_rotation_called(name: str) -> NotFound:
    """No rotation has that name and those labels."""
    return NotFound(
        f'Could not find OpenRouter API Key Rotation with name "{_safe(name)}" at that secret path and environment'
    )


def _safe(name: str) -> str:
    """What could be a name is repeated; anything else could be anything, a key too."""
    try:
        return validated_slug("name", name)
    except InvalidInput:
        return "(not a name)"
