"""Every route and the roles that may call it. A route that is not here cannot be added, and anonymous is said, never
implied. The tests walk through this table with each role and with none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from tasks.store.tokens import Role


class Proof(StrEnum):
    """How a caller shows who it is."""

    BEARER = "bearer"
    """``Authorization: Bearer TOKEN``: the APIs."""
    SESSION = "session"
    """The cookie of a session that began with a token: the console."""
    NONE = "none"
    """Everybody may call it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may call a route."""

    roles: frozenset[Role]
    proof: Proof = Proof.BEARER


READ: Final = Grant(frozenset({Role.VIEWER, Role.OPERATOR, Role.ADMIN}))
OPERATE: Final = Grant(frozenset({Role.OPERATOR, Role.ADMIN}))
ADMINISTER: Final = Grant(frozenset({Role.ADMIN}))
CONSUME: Final = Grant(frozenset({Role.CONSUMER, Role.ADMIN}))
"""A consumer only for the rotations that its token names."""
ANYONE: Final = Grant(frozenset(), Proof.NONE)


def _seen(grant: Grant) -> Grant:
    """The same, for people with a browser."""
    return replace(grant, proof=Proof.SESSION)


PROBES: Final = {
    "healthz": ANYONE,
    "readyz": ANYONE,
}

METRICS: Final = {"metrics": READ}

DOCUMENTS: Final = {
    "docs": ANYONE,
    "openapi_document": ANYONE,
    "asset": ANYONE,
}
"""What the published source tells too."""

API: Final = {
    "show_status": READ,
    "reconcile": OPERATE,
    "list_connections": READ,
    "show_connection": READ,
    "create_connection": ADMINISTER,
    "update_connection": ADMINISTER,
    "delete_connection": ADMINISTER,
    "check_connection": OPERATE,
    "list_rotations": READ,
    "show_rotation": READ,
    "preview_rotation": ADMINISTER,
    "create_rotation": ADMINISTER,
    "update_rotation": ADMINISTER,
    "delete_rotation": ADMINISTER,
    "pause_rotation": OPERATE,
    "resume_rotation": OPERATE,
    "list_versions": READ,
    "list_deliveries": READ,
    "rotate": OPERATE,
    "undo": OPERATE,
    "rotate_in_emergency": OPERATE,
    "dry_run": OPERATE,
    "list_destinations": READ,
    "add_destination": ADMINISTER,
    "remove_destination": ADMINISTER,
    "check_destinations": OPERATE,
    "list_events": READ,
    "list_events_of_rotation": READ,
    "read_secret": CONSUME,
}

CONSOLE: Final = {
    "console_sign_in": ANYONE,
    "console_begin_session": ANYONE,
    "console_end_session": _seen(READ),
    "console_rotations": _seen(READ),
    "console_rotation": _seen(READ),
    "console_rotate": _seen(OPERATE),
    "console_rotate_now": _seen(OPERATE),
    "console_undo": _seen(OPERATE),
    "console_undo_now": _seen(OPERATE),
    "console_pause": _seen(OPERATE),
    "console_resume": _seen(OPERATE),
    "console_emergency": _seen(OPERATE),
    "console_rotate_in_emergency": _seen(OPERATE),
    "console_check_destinations": _seen(OPERATE),
    "console_new_rotation": _seen(ADMINISTER),
    "console_continue_rotation": _seen(ADMINISTER),
    "console_edit_rotation": _seen(ADMINISTER),
    "console_update_rotation": _seen(ADMINISTER),
    "console_new_destination": _seen(ADMINISTER),
    "console_add_destination": _seen(ADMINISTER),
    "console_remove_destination": _seen(ADMINISTER),
    "console_end_rotation": _seen(ADMINISTER),
    "console_delete_rotation": _seen(ADMINISTER),
    "console_key": _seen(ADMINISTER),
    "console_show_key": _seen(ADMINISTER),
    "console_overview": _seen(READ),
    "console_events": _seen(READ),
    "console_rotation_events": _seen(READ),
    "console_connections": _seen(READ),
    "console_connection": _seen(READ),
    "console_check_connection": _seen(OPERATE),
    "console_new_connection": _seen(ADMINISTER),
    "console_add_connection": _seen(ADMINISTER),
    "console_connection_key": _seen(ADMINISTER),
    "console_replace_connection_key": _seen(ADMINISTER),
    "console_edit_connection": _seen(ADMINISTER),
    "console_update_connection": _seen(ADMINISTER),
    "console_end_connection": _seen(ADMINISTER),
    "console_delete_connection": _seen(ADMINISTER),
}

INFISICAL: Final = {
    "infisical_connection_options": READ,
    "infisical_all_connections": READ,
    "infisical_connections": READ,
    "infisical_available_connections": READ,
    "infisical_connection_by_name": READ,
    "infisical_connection": READ,
    "infisical_create_connection": ADMINISTER,
    "infisical_update_connection": ADMINISTER,
    "infisical_delete_connection": ADMINISTER,
    "infisical_rotation_options": READ,
    "infisical_all_rotations": READ,
    "infisical_rotations": READ,
    "infisical_rotation_by_name": READ,
    "infisical_rotation": READ,
    "infisical_generated_credentials": ADMINISTER,
    "infisical_create_rotation": ADMINISTER,
    "infisical_update_rotation": ADMINISTER,
    "infisical_delete_rotation": ADMINISTER,
    "infisical_rotate_secrets": OPERATE,
}

ROUTES: Final = {**PROBES, **METRICS, **DOCUMENTS, **INFISICAL, **API, **CONSOLE}
"""Grants by the route's name, which is its function's name and its ``operationId``."""
