"""All that one account holds, and who is calling it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from .bindings import ByokCredentials, Destinations, Guardrails
from .keys import KeyRecord, KeyRing, TokenHex, hash_of, stamp
from .messages import ApiError, JsonObject
from .spend import remaining, window_closes_at
from .workspaces import Workspaces

MANAGEMENT_PREFIX: Final = "emulator-"
"""How a management key of the emulator begins: a real one can never be one by mistake."""


class CallerKind(Enum):
    """What the bearer of a call turned out to be."""

    MANAGEMENT = "management"
    KEY = "key"
    NOBODY = "nobody"


def apparent_caller(bearer: str | None) -> CallerKind:
    """What the bearer of a call looks like, before anybody asks whether it is accepted."""
    if bearer is None:
        return CallerKind.NOBODY
    return CallerKind.MANAGEMENT if bearer.startswith(MANAGEMENT_PREFIX) else CallerKind.KEY


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls; ``key`` is there for an ordinary key that is accepted now."""

    kind: CallerKind
    key: KeyRecord | None = None


class State:
    """Keys, workspaces, bindings and management keys of one account. Not thread-safe: ``Account`` guards it."""

    def __init__(self, token_hex: TokenHex, canary: str, total_credits_usd: float, now: datetime) -> None:
        self.total_credits_usd = total_credits_usd
        self.workspaces = Workspaces(token_hex, now)
        self.keys = KeyRing(token_hex, canary)
        self.guardrails = Guardrails(token_hex, self.keys)
        self.byok = ByokCredentials(token_hex, self.keys)
        self.destinations = Destinations(token_hex)
        self.registered: set[str] = set()
        self.revoked: set[str] = set()

    def caller(self, bearer: str | None, now: datetime) -> Caller:
        """Tell management keys, live ordinary keys and everybody else apart."""
        if bearer is None:
            return Caller(CallerKind.NOBODY)
        bearer_hash = hash_of(bearer)
        if bearer.startswith(MANAGEMENT_PREFIX):
            return Caller(CallerKind.MANAGEMENT if self._accepts_management(bearer_hash) else CallerKind.NOBODY)
        record = self.keys.find(bearer_hash)
        if record is None or record.state(now) != "live":
            return Caller(CallerKind.NOBODY)
        return Caller(CallerKind.KEY, record)

    def _accepts_management(self, bearer_hash: str) -> bool:
        return bearer_hash not in self.revoked and (not self.registered or bearer_hash in self.registered)

    def delete_key(self, key_hash: str, now: datetime) -> None:
        """Delete a key and its guardrail assignment; BYOK and trace lists keep the dead hash."""
        self.keys.delete(key_hash, now)
        self.guardrails.forget_key(key_hash)

    def budgets(self, record: KeyRecord, now: datetime) -> list[JsonObject]:
        """Every budget enforced for a key, in the order of enforcement: its guardrail's, then its own limit."""
        layers = []
        guardrail = self.guardrails.of_key(record.hash)
        if guardrail is not None and isinstance(limit := guardrail["limit_usd"], float):
            layer = _budget(record, now, "api_key", limit, _text(guardrail["reset_interval"]))
            include_byok = guardrail["include_byok_in_budgets"]
            layers.append({**layer, "guardrail_id": guardrail["id"], "include_byok": include_byok})
        if record.limit is not None:
            layers.append(_budget(record, now, "key_limit", record.limit, record.limit_reset))
        return layers

    def effective_budget(self, record: KeyRecord, now: datetime) -> JsonObject | None:
        """The first spent budget, else the one with the least left, else None."""
        return min(self.budgets(record, now), key=lambda layer: float(str(layer["remaining_usd"])), default=None)

    def check_may_spend(self, record: KeyRecord, now: datetime) -> None:
        """403 when a budget of the key is spent, 402 when the account's credits are."""
        budget = self.effective_budget(record, now)
        if budget is not None and budget["remaining_usd"] == 0:
            raise ApiError(403, f"Key limit exceeded ({budget['scope']})")
        if self.keys.spent(now) >= self.total_credits_usd:
            raise ApiError(402, "Insufficient credits: this account has none left")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _budget(record: KeyRecord, now: datetime, scope: str, limit: float, reset: str | None) -> JsonObject:
    spent = record.spend.within(reset, now)
    return {
        "budget_id": None,
        "guardrail_id": None,
        "include_byok": record.include_byok_in_limit,
        "limit_usd": limit,
        "remaining_usd": remaining(limit, spent),
        "reset_interval": reset,
        "resets_at": stamp(window_closes_at(reset, now)),
        "scope": scope,
        "spend_usd": spent,
    }
