"""Who is asking."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from tasks.store.tokens import Role, Token


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a valid token, by header or by session."""

    token: Token

    @property
    def actor(self) -> str:
        """As events name it."""
        return f"token:{self.token.name}"

    @property
    def role(self) -> Role:
        """What it may do."""
        return self.token.role

    def may_read_key_of(self, rotation_id: str) -> bool:
        """Whether it may be told the key of this rotation."""
        return self.role is Role.ADMIN or rotation_id in self.token.rotation_ids


def address_of(request: Request) -> str:
    """Where the request came from: the peer, or whom a trusted proxy names."""
    return request.client.host if request.client is not None else "unknown"
