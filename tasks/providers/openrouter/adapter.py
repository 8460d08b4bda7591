"""OpenRouter as a ``Provider``.

The calls of a rotation, in order:

==============  ======================================  =========================================
step            call                                    when
==============  ======================================  =========================================
create          ``POST /keys``                          once; never repeated blindly
prove           ``GET /key`` with the new key           once
carry bindings  three lists (see ``bindings``)          unless ``binds_keys`` was False of late
disable         ``PATCH /keys/{old hash}``              once
drop bindings   two lists (see ``bindings``)            unless ``binds_keys`` was False of late
delete          ``DELETE /keys/{old hash}``             once
==============  ======================================  =========================================

So a rotation of an account that binds nothing to its keys costs four. A look for a create whose outcome is unknown
costs a ``GET /keys`` for each page; ``check`` costs ``GET /key`` and ``GET /keys``; ``binds_keys`` three lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

import httpx

from config.secret import Secret
from config.settings import Settings
from tasks.providers import Observe
from tasks.providers.openrouter import wire
from tasks.providers.openrouter.address import validated_base_url
from tasks.providers.openrouter.bindings import BINDINGS_TIMEOUT, Bindings
from tasks.providers.openrouter.client import CALL_TIMEOUT, OpenRouterClient, Timeouts, read_as, unobserved
from tasks.providers.openrouter.exchange import Call, Effect
from tasks.providers.openrouter.paging import Page, every
from tasks.providers.openrouter.proof import DESCRIBE, facts_in, proof_of
from tasks.rotation.errors import Broken, InvalidInput
from tasks.rotation.model import KeyParameters
from tasks.rotation.ports import BindingReport, CallerFacts, CheckResult, MintedKey, RemoteKey

__all__ = ["BINDINGS_TIMEOUT", "CALL_TIMEOUT", "OpenRouter", "Timeouts", "validated_base_url"]

_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404
_CORRECT: Final = "Correct what it names with `rotator rotation update NAME`."
_GONE: Final = frozenset({_NOT_FOUND})


class OpenRouter:
    """OpenRouter's management API over one pool of connections. Safe to share between threads; build after a fork.

    ``bindings_max_age`` is how long one look at what an account binds to its keys may serve all its rotations;
    zero looks each time. ``transport`` and ``timeouts`` replace the network and its patience; ``observe`` is told of
    each call. Each call takes at most ``CALL_TIMEOUT``; carrying or dropping bindings at most ``BINDINGS_TIMEOUT``.
    """

    app: ClassVar[str] = "open-router"

    def __init__(
        self,
        base_url: str,
        *,
        transport: httpx.BaseTransport | None = None,
        timeouts: Timeouts | None = None,
        bindings_max_age: timedelta = timedelta(0),
        observe: Observe = unobserved,
    ) -> None:
        self._client = OpenRouterClient(base_url, transport=transport, timeouts=timeouts, observe=observe)
        self._bindings = Bindings(self._client, max_age=bindings_max_age)

    def close(self) -> None:
        """Close every connection. A second call does nothing."""
        self._client.close()

    def check(self, management_key: Secret) -> CheckResult:
        """Prove that this is a management key that may list keys. Raises nothing: the outcome is the answer."""
        return proof_of(self._client, management_key)

    def describe_caller(self, key: Secret) -> CallerFacts | None:
        """What ``key`` is, or None when OpenRouter itself answers 401: unknown, disabled, deleted or expired."""
        if not wire.is_sendable(key):
            return None
        answer = self._client.ask(DESCRIBE, key, accept=frozenset({_UNAUTHORIZED}))
        return facts_in(answer) if answer.is_success else None

    def create_key(
        self, management_key: Secret, parameters: KeyParameters, *, name: str, expires_at: datetime | None
    ) -> MintedKey:
        """Mint a key. Not idempotent, never retried here. ``expires_at`` is sent to the second, in UTC.

        Raises ``OutcomeUnknown`` whenever a key may have been made, also when the answer cannot be read.
        """
        body = _wanted(parameters, name, expires_at)
        call = Call("POST", "/keys", Effect.CREATE, "create a key", body=body, if_refused=_CORRECT)
        created = self._client.ask_for(wire.CreatedKey, call, management_key)
        return MintedKey(created.data.hash, Secret(created.key))

    def list_keys(self, management_key: Secret, *, workspace_id: str | None) -> Iterator[RemoteKey]:
        """Every key of the workspace (None: the default one), newest first; disabled and expired ones included.

        Pages are asked for as they are needed, so a caller that has found its key may stop.
        """

        def page(offset: int) -> Page[wire.KeyFields]:
            params: dict[str, str | int] = {"offset": offset, "include_disabled": "true", "include_expired": "true"}
            if workspace_id is not None:
                params["workspace_id"] = workspace_id
            call = Call("GET", "/keys", Effect.READ, "list the keys", params)
            return Page(self._client.ask_for(wire.KeyPage, call, management_key).data)

        return (key.as_remote_key() for key in every(page, lambda key: key.hash))

    def get_key(self, management_key: Secret, key_hash: str) -> RemoteKey | None:
        """One key, or None when OpenRouter itself answers 404: it is gone."""
        call = Call("GET", _path(key_hash), Effect.READ, "show a key")
        answer = self._client.ask(call, management_key, accept=_GONE)
        if answer.status == _NOT_FOUND:
            return None
        return _same(read_as(wire.OneKey, answer, call).data, key_hash).as_remote_key()

    def set_disabled(self, management_key: Secret, key_hash: str, *, disabled: bool) -> bool:
        """Disable or enable; idempotent. False when the key is gone.

        Raises ``Broken`` when OpenRouter answers that the key is in the other state after all.
        """
        purpose = "disable a key" if disabled else "enable a key"
        call = Call("PATCH", _path(key_hash), Effect.CHANGE, purpose, body={"disabled": disabled})
        answer = self._client.ask(call, management_key, accept=_GONE)
        if answer.status == _NOT_FOUND:
            return False
        key = _same(read_as(wire.OneKey, answer, call).data, key_hash)
        if key.disabled is not disabled:
            raise Broken(
                f"OpenRouter was asked to {purpose} and answered that it did, but the key is unchanged.",
                "It is tried again; if it lasts, change the key at OpenRouter by hand and ask its support.",
            )
        return True

    def delete_key(self, management_key: Secret, key_hash: str) -> None:
        """Delete; returns when OpenRouter says ``deleted`` or 404: the key is gone, whoever deleted it."""
        call = Call("DELETE", _path(key_hash), Effect.CHANGE, "delete a key")
        answer = self._client.ask(call, management_key, accept=_GONE)
        if answer.status != _NOT_FOUND:
            read_as(wire.DeletedKey, answer, call)

    def binds_keys(self, management_key: Secret, *, workspace_id: str | None) -> bool:
        """Whether anything in the workspace names any key by its hash, so that bindings may have to be carried."""
        return self._bindings.exist(management_key, workspace_id)

    def carry_bindings(
        self, management_key: Secret, *, old_hash: str, new_hash: str, workspace_id: str | None
    ) -> BindingReport:
        """Attach to the new key what is bound to the old one, and read it back. See ``Bindings.carry``."""
        _path(new_hash)
        return self._bindings.carry(management_key, old_hash, new_hash, workspace_id)

    def drop_bindings(self, management_key: Secret, *, old_hash: str, workspace_id: str | None) -> None:
        """Take a key that is about to be deleted out of the lists that name it. See ``Bindings.drop``."""
        self._bindings.drop(management_key, old_hash, workspace_id)


def open_provider(settings: Settings, observe: Observe) -> OpenRouter:
    """The provider that the settings describe. Raises ``InvalidInput`` for a base URL that may not be used."""
    return OpenRouter(settings.openrouter_base_url, observe=observe)


def _wanted(parameters: KeyParameters, name: str, expires_at: datetime | None) -> Mapping[str, object]:
    """The body of a create. What is not wanted is left out, so that OpenRouter's defaults hold."""
    wanted = {
        "name": name,
        "limit": parameters.limit_usd,
        "limit_reset": None if parameters.limit_reset is None else parameters.limit_reset.value,
        "include_byok_in_limit": parameters.include_byok_in_limit,
        "workspace_id": parameters.workspace_id,
        "expires_at": None if expires_at is None else expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return {field: value for field, value in wanted.items() if value is not None}


def _path(key_hash: str) -> str:
    """Where a key is. A hash can come from a person (adoption): it must not lead to another path."""
    if not wire.is_id(key_hash):
        raise InvalidInput("key hash", "it is not the hash of a key.", "Copy it from OpenRouter's list of keys.")
    return f"/keys/{key_hash}"


def _same(key: wire.KeyFields, key_hash: str) -> wire.KeyFields:
    if key.hash != key_hash:
        raise Broken("OpenRouter answered about another key than it was asked about. Nothing more is done with it.")
    return key
