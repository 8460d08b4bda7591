"""The API keys of the account: minted, listed, changed, deleted for good, and remembered as tombstones."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from .bodies import CreateKey, UpdateKey, read_count, read_flag
from .messages import ApiError, JsonObject
from .spend import Spend, remaining

PAGE_SIZE: Final = 100
"""Keys a page of ``GET /keys``; the answer has no total."""

USER_ID: Final = "user_emulator"
"""The one person who owns the account."""

TokenHex = Callable[[int], str]
"""``n`` random bytes as hex; ``secrets.token_hex`` unless a test wants to choose."""


def hash_of(key_text: str) -> str:
    """OpenRouter's hash of a key: lower-case hex SHA-256 of its text."""
    return hashlib.sha256(key_text.encode()).hexdigest()


def stamp(at: datetime | None) -> str | None:
    """ISO 8601 in UTC with milliseconds and ``Z``, as the API writes times."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """The truth about one key ever minted, for whoever checks the rotator. Never the key's text."""

    hash: str
    name: str
    workspace_id: str
    state: str
    """``live`` (accepted now), ``disabled``, ``expired`` or ``deleted``."""
    created_at: datetime
    expires_at: datetime | None
    disabled_at: datetime | None
    """When it was disabled last, if it still is or was when it was deleted."""
    deleted_at: datetime | None
    last_used_at: datetime | None
    usage_usd: float
    history: tuple[tuple[datetime, str], ...]
    """``created``, ``updated``, ``disabled``, ``enabled``, ``moved``, ``deleted``, each with its time."""


@dataclass(slots=True)
class KeyRecord:
    """One key as the account holds it: everything but its text."""

    hash: str
    label: str
    name: str
    workspace_id: str
    creator_user_id: str
    created_at: datetime
    limit: float | None
    limit_reset: str | None
    include_byok_in_limit: bool
    expires_at: datetime | None
    disabled: bool = False
    disabled_at: datetime | None = None
    updated_at: datetime | None = None
    deleted_at: datetime | None = None
    last_used_at: datetime | None = None
    spend: Spend = field(default_factory=Spend)
    history: list[tuple[datetime, str]] = field(default_factory=list)

    def expired(self, now: datetime) -> bool:
        """Its expiry has come."""
        return self.expires_at is not None and self.expires_at <= now

    def state(self, now: datetime) -> str:
        """``deleted``, ``disabled``, ``expired`` or ``live``, the first that holds."""
        if self.deleted_at is not None:
            return "deleted"
        if self.disabled:
            return "disabled"
        return "expired" if self.expired(now) else "live"

    def limit_remaining(self, now: datetime) -> float | None:
        """USD left of its own limit in the open window; None without a limit."""
        return None if self.limit is None else remaining(self.limit, self.spend.within(self.limit_reset, now))

    def use(self, usd: float, now: datetime) -> None:
        """Count one model call."""
        self.spend.add(usd, now)
        self.last_used_at = now

    def change(self, given: JsonObject, now: datetime) -> None:
        """Apply the fields of a PATCH."""
        events = self._events(given)
        for name, value in given.items():
            setattr(self, name, value)
        if "disabled" in given and events != ["updated"]:
            self.disabled_at = now if self.disabled else None
        self.updated_at = now
        self.history.extend((now, event) for event in events)

    def _events(self, given: JsonObject) -> list[str]:
        events = []
        if given.get("disabled", self.disabled) != self.disabled:
            events.append("disabled" if given["disabled"] else "enabled")
        if given.get("workspace_id", self.workspace_id) != self.workspace_id:
            events.append("moved")
        return events or ["updated"]

    def facts(self, now: datetime) -> KeyFacts:
        """A frozen copy for checkers."""
        return KeyFacts(
            self.hash, self.name, self.workspace_id, self.state(now), self.created_at, self.expires_at,
            self.disabled_at, self.deleted_at, self.last_used_at, self.spend.within(None, now), tuple(self.history),
        )  # fmt: skip

    def view(self, now: datetime) -> JsonObject:
        """The key as ``/keys`` shows it."""
        return {
            "hash": self.hash,
            "name": self.name,
            "label": self.label,
            "disabled": self.disabled,
            "limit": self.limit,
            "limit_remaining": self.limit_remaining(now),
            "limit_reset": self.limit_reset,
            "include_byok_in_limit": self.include_byok_in_limit,
            **self.spend.view(now),
            "created_at": stamp(self.created_at),
            "updated_at": stamp(self.updated_at),
            "expires_at": stamp(self.expires_at),
            "last_used_at": stamp(self.last_used_at),
            "creator_user_id": self.creator_user_id,
            "external_user": None,
            "workspace_id": self.workspace_id,
        }


class KeyRing:
    """Every key ever minted, oldest first. Keeps hashes, never key text."""

    def __init__(self, token_hex: TokenHex = secrets.token_hex, canary: str = "") -> None:
        self._token_hex = token_hex
        self._canary = canary
        self._by_hash: dict[str, KeyRecord] = {}

    def __iter__(self) -> Iterator[KeyRecord]:
        return iter(self._by_hash.values())

    def mint(self, order: CreateKey, workspace_id: str, now: datetime) -> tuple[str, KeyRecord]:
        """A new key: its text, this once, and its record. 400 when it would be born expired."""
        if order.expires_at is not None and order.expires_at <= now:
            raise ApiError(400, "expires_at: must be in the future")
        text = self._new_text()
        record = KeyRecord(
            hash=hash_of(text),
            label=f"{text[:12]}...{text[-3:]}",
            name=order.name,
            workspace_id=workspace_id,
            creator_user_id=order.creator_user_id or USER_ID,
            created_at=now,
            limit=order.limit,
            limit_reset=order.limit_reset,
            include_byok_in_limit=order.include_byok_in_limit,
            expires_at=order.expires_at,
            history=[(now, "created")],
        )
        self._by_hash[record.hash] = record
        return text, record

    def _new_text(self) -> str:
        random_hex = self._token_hex(32)
        return f"sk-or-v1-{random_hex[:32]}{self._canary}{random_hex[32:]}"

    def find(self, key_hash: str) -> KeyRecord | None:
        """The record under ``key_hash``, deleted or not."""
        return self._by_hash.get(key_hash)

    def existing(self, key_hash: str) -> KeyRecord:
        """The key under ``key_hash`` (disabled or expired ones too); 404 when unknown or deleted."""
        record = self._by_hash.get(key_hash)
        if record is None or record.deleted_at is not None:
            raise ApiError(404, "API key not found")
        return record

    def page(self, query: Mapping[str, str], workspace_id: str, now: datetime) -> list[KeyRecord]:
        """One page of one workspace, newest first; disabled and expired keys each only when asked for."""
        offset = read_count(query, "offset", 0)
        disabled, expired = read_flag(query, "include_disabled"), read_flag(query, "include_expired")
        shown = [
            record
            for record in reversed(self._by_hash.values())
            if record.deleted_at is None
            and record.workspace_id == workspace_id
            and (disabled or not record.disabled)
            and (expired or not record.expired(now))
        ]
        return shown[offset : offset + PAGE_SIZE]

    def update(self, key_hash: str, order: UpdateKey, now: datetime) -> KeyRecord:
        """Apply a PATCH; 404 when gone."""
        record = self.existing(key_hash)
        record.change(order.given(), now)
        return record

    def delete(self, key_hash: str, now: datetime) -> None:
        """Delete for good; a second time is 404."""
        record = self.existing(key_hash)
        record.deleted_at = now
        record.history.append((now, "deleted"))

    def spent(self, now: datetime) -> float:
        """USD that all keys spent, deleted ones included."""
        return sum(record.spend.within(None, now) for record in self)
