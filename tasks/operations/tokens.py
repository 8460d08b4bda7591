"""API tokens, as an operator makes and ends them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from config.secret import Secret
from tasks.operations.views import TokenView
from tasks.rotation.errors import InvalidInput
from tasks.rotation.parameters import validated_slug
from tasks.rotation.schedule import parse_span
from tasks.store.tokens import Role, Token
from tasks.wiring import Rotator


def create(
    rotator: Rotator, name: str, role: str, rotations: Sequence[str], expires: str | None
) -> tuple[TokenView, Secret]:
    """Make a token; its text is in the answer and nowhere else. Nothing is stored when something is wrong."""
    validated_slug("NAME", name)
    if role not in set(Role):
        raise InvalidInput("--role", f"{role[:40]!r} is not known", f"Use one of {', '.join(Role)}.")
    ids = _rotation_ids(rotator, Role(role), rotations)
    token, text = rotator.store.tokens.insert(
        name, Role(role), rotation_ids=ids, lasts=_lasting(expires), actor=rotator.actor
    )
    return view(token, rotator.store.rotations.names()), text


def every(rotator: Rotator) -> tuple[TokenView, ...]:
    """Every token that is not revoked, expired ones included, by name."""
    names = rotator.store.rotations.names()
    return tuple(view(t, names) for t in rotator.store.tokens.all())


def view(token: Token, rotations: dict[str, str]) -> TokenView:
    """A token as it is shown. ``rotations`` are names by id."""
    return TokenView(
        name=token.name,
        id=token.id,
        role=str(token.role),
        rotations=tuple(rotations.get(i, i) for i in token.rotation_ids),
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
    )


def _rotation_ids(rotator: Rotator, role: Role, rotations: Sequence[str]) -> tuple[str, ...]:
    if role is Role.CONSUMER and not rotations:
        raise InvalidInput("--rotation", "a consumer reads named rotations", "Give --rotation, once for each.")
    if role is not Role.CONSUMER and rotations:
        raise InvalidInput("--rotation", f"a token of the role {role} is not bound to rotations", "Leave it out.")
    return tuple(dict.fromkeys(rotator.store.rotations.get(name).rotation.id for name in rotations))


def _lasting(expires: str | None) -> timedelta | None:
    if expires is None:
        return None
    span = parse_span(expires, field="--expires")
    if not span:
        raise InvalidInput("--expires", "it would be expired at once", "Give a span such as 90d, or leave it out.")
    return span
