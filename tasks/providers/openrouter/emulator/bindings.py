"""What hangs on a key's hash and does not follow it to the next key: guardrails, BYOK lists, trace filters."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from .bodies import Body, CreateByok, CreateDestination, CreateGuardrail, UpdateByok, UpdateGuardrail
from .keys import USER_ID, KeyRecord, KeyRing, TokenHex, stamp
from .messages import ApiError, JsonObject
from .workspaces import new_id

DESTINATIONS_PER_TYPE = 5
"""OpenAPI document of 2026-08-22, ``POST /observability/destinations``."""

_MASKABLE = 12
_ZDR_PROVIDERS = ("anthropic", "openai", "google", "xai", "other")


class Shelf:
    """Objects of one kind under their ids, oldest first, each in a workspace."""

    def __init__(self, kind: str, token_hex: TokenHex) -> None:
        self._kind = kind
        self._token_hex = token_hex
        self._views: dict[str, JsonObject] = {}

    def add(self, view: JsonObject) -> JsonObject:
        """Store ``view`` under a new id."""
        stored = {"id": new_id(self._token_hex), **view}
        self._views[str(stored["id"])] = stored
        return stored

    def get(self, item_id: str) -> JsonObject:
        """The one under ``item_id``, else 404."""
        if item_id not in self._views:
            raise ApiError(404, f"{self._kind} not found")
        return self._views[item_id]

    def change(self, item_id: str, given: JsonObject) -> JsonObject:
        """Overwrite the ``given`` fields of one."""
        self.get(item_id).update(given)
        return self.get(item_id)

    def remove(self, item_id: str) -> None:
        """Forget one, else 404."""
        self.get(item_id)
        del self._views[item_id]

    def of(self, workspace_id: str) -> list[JsonObject]:
        """Those of one workspace, oldest first."""
        return [view for view in self._views.values() if view["workspace_id"] == workspace_id]


def _spread_zdr(given: JsonObject) -> JsonObject:
    """Copy the deprecated ``enforce_zdr`` into each per-provider field that the caller left out."""
    if "enforce_zdr" not in given:
        return given
    return {**{f"enforce_zdr_{provider}": given["enforce_zdr"] for provider in _ZDR_PROVIDERS}, **given}


class Guardrails(Shelf):
    """Guardrails, and which key is under which: at most one a key, and assigning replaces.

    Assigning a hash that is no key of the account is refused with 400 as a whole: the documents leave open whether
    such a hash would be skipped. Deleting a key drops its assignment.
    """

    def __init__(self, token_hex: TokenHex, keys: KeyRing) -> None:
        super().__init__("Guardrail", token_hex)
        self._keys = keys
        self._by_key: dict[str, JsonObject] = {}

    def create(self, order: CreateGuardrail, workspace_id: str, now: datetime) -> JsonObject:
        """A guardrail without keys."""
        fields = {**order.model_dump(), **_spread_zdr(order.given()), "workspace_id": workspace_id}
        return self.add({**fields, "created_at": stamp(now), "updated_at": None})

    def update(self, guardrail_id: str, order: UpdateGuardrail, now: datetime) -> JsonObject:
        """Change the given fields; 404 when gone."""
        return self.change(guardrail_id, {**_spread_zdr(order.given()), "updated_at": stamp(now)})

    def delete(self, guardrail_id: str) -> None:
        """Forget it and free its keys; 404 when gone."""
        self.remove(guardrail_id)
        self.unassign(guardrail_id, list(self._by_key), check=False)

    def assign(self, guardrail_id: str, key_hashes: Iterable[str], now: datetime) -> int:
        """Put these keys under it, each leaving any other; returns how many were named."""
        self.get(guardrail_id)
        records = [_known(self._keys, key_hash) for key_hash in dict.fromkeys(key_hashes)]
        for record in records:
            self._by_key.pop(record.hash, None)
            self._by_key[record.hash] = {
                "id": new_id(self._token_hex),
                "guardrail_id": guardrail_id,
                "key_hash": record.hash,
                "assigned_by": USER_ID,
                "created_at": stamp(now),
            }
        return len(records)

    def unassign(self, guardrail_id: str, key_hashes: Iterable[str], check: bool = True) -> int:
        """Take these keys from under it; keys that are elsewhere stay. Returns how many left."""
        if check:
            self.get(guardrail_id)
        leaving = {
            key_hash
            for key_hash in key_hashes
            if key_hash in self._by_key and self._by_key[key_hash]["guardrail_id"] == guardrail_id
        }
        for key_hash in leaving:
            del self._by_key[key_hash]
        return len(leaving)

    def forget_key(self, key_hash: str) -> None:
        """The key was deleted."""
        self._by_key.pop(key_hash, None)

    def assignments(self, guardrail_id: str | None = None) -> list[JsonObject]:
        """Assignments of one guardrail, or of all, oldest first, with each key's present name and label."""
        if guardrail_id is not None:
            self.get(guardrail_id)
        chosen = [a for a in self._by_key.values() if guardrail_id in (None, a["guardrail_id"])]
        return [self._named(assignment) for assignment in chosen]

    def _named(self, assignment: JsonObject) -> JsonObject:
        record = self._keys.existing(str(assignment["key_hash"]))
        return {**assignment, "key_name": record.name, "key_label": record.label}

    def of_key(self, key_hash: str) -> JsonObject | None:
        """The guardrail that a key is under, if any."""
        assignment = self._by_key.get(key_hash)
        return None if assignment is None else self.get(str(assignment["guardrail_id"]))


def _known(keys: KeyRing, key_hash: str) -> KeyRecord:
    """The key under ``key_hash``; 400 (not 404) when a body names one that does not exist."""
    try:
        return keys.existing(key_hash)
    except ApiError:
        raise ApiError(400, "a named hash is not a key of this account") from None


class ByokCredentials(Shelf):
    """Provider credentials; each may be narrowed to a list of keys, which a write replaces as a whole.

    Every hash in a written list must be an existing key. A key that is deleted later stays in the stored list, so
    the next write must leave it out.
    """

    def __init__(self, token_hex: TokenHex, keys: KeyRing) -> None:
        super().__init__("BYOK credential", token_hex)
        self._keys = keys

    def create(self, order: CreateByok, workspace_id: str, now: datetime) -> JsonObject:
        """Store one; the provider's key itself is dropped."""
        fields = {**order.model_dump(exclude={"key"}), **self._checked(order), "workspace_id": workspace_id}
        position = sum(view["provider"] == order.provider for view in self._views.values())
        return self.add({**fields, "sort_order": position, "created_at": stamp(now)})

    def update(self, credential_id: str, order: UpdateByok) -> JsonObject:
        """Change the given fields; 404 when gone, 400 when a named hash is not an existing key."""
        self.get(credential_id)
        return self.change(credential_id, self._checked(order))

    def _checked(self, order: UpdateByok) -> JsonObject:
        for key_hash in order.allowed_api_key_hashes or ():
            _known(self._keys, key_hash)
        given = order.given()
        provider_key = given.pop("key", None)
        return given if provider_key is None else {**given, "label": _masked(str(provider_key))}


def _masked(text: str) -> str:
    """First and last three characters, once the text is long enough to hide the rest."""
    return f"{text[:3]}...{text[-3:]}" if len(text) >= _MASKABLE else "..."


class Destinations(Shelf):
    """Observability destinations. Their key lists are stored unchecked: the documents ask for no check."""

    def __init__(self, token_hex: TokenHex) -> None:
        super().__init__("Observability destination", token_hex)

    def create(self, order: CreateDestination, workspace_id: str, now: datetime) -> JsonObject:
        """Add one; 409 when the account has five of its type in that workspace."""
        if sum(view["type"] == order.type for view in self.of(workspace_id)) >= DESTINATIONS_PER_TYPE:
            raise ApiError(409, f"a workspace holds at most {DESTINATIONS_PER_TYPE} destinations of one type")
        times = {"created_at": stamp(now), "updated_at": stamp(now)}
        return self.add({**order.model_dump(), "workspace_id": workspace_id, **times})

    def update(self, destination_id: str, order: Body, now: datetime) -> JsonObject:
        """Change the given fields (``config`` field by field); 404 when gone."""
        given = order.given()
        if isinstance(config := given.get("config"), dict):
            stored = self.get(destination_id)["config"]
            given["config"] = {**(stored if isinstance(stored, dict) else {}), **config}
        return self.change(destination_id, {**given, "updated_at": stamp(now)})
