"""The workspaces of the account; one is the default, where calls go that name none."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from .bodies import CreateWorkspace
from .keys import USER_ID, TokenHex, stamp
from .messages import ApiError, JsonObject


def new_id(token_hex: TokenHex) -> str:
    """A random UUID (version 4)."""
    return str(UUID(hex=token_hex(16), version=4))


class Workspaces:
    """All workspaces, oldest first."""

    def __init__(self, token_hex: TokenHex, now: datetime) -> None:
        self._token_hex = token_hex
        self._views: dict[str, JsonObject] = {}
        self.default_id = self.create(CreateWorkspace(name="Default", slug="default"), now)

    def create(self, order: CreateWorkspace, now: datetime) -> str:
        """Add one and return its id; 400 when its slug is taken."""
        if any(view["slug"] == order.slug for view in self._views.values()):
            raise ApiError(400, "slug: is taken by another workspace")
        workspace_id = new_id(self._token_hex)
        self._views[workspace_id] = {
            "id": workspace_id,
            **order.model_dump(),
            "default_guardrail_id": new_id(self._token_hex),
            "include_byok_in_budgets": False,
            "created_at": stamp(now),
            "updated_at": None,
            "created_by": USER_ID,
        }
        return workspace_id

    def resolve(self, workspace_id: str | None) -> str:
        """``workspace_id`` itself, or the default for None; 400 when the account has no such workspace."""
        if workspace_id is None:
            return self.default_id
        if workspace_id not in self._views:
            raise ApiError(400, "workspace_id: no such workspace in this account")
        return workspace_id

    def view(self, workspace_id: str) -> JsonObject:
        """The workspace as ``/workspaces`` shows it."""
        return self._views[workspace_id]

    def views(self) -> list[JsonObject]:
        """All of them, oldest first."""
        return list(self._views.values())
