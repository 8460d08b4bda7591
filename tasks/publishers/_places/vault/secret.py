"""Asks Vault about one secret, through ``hvac``. Imports that optional client, so it is itself imported on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeVar
from urllib.parse import quote

from hvac import Client
from hvac import exceptions as vault
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.publishers._places.vault.faults import (
    FAULTS,
    NotVault,
    NotVersioned,
    asked,
    login_refused,
    token_refused,
    translated,
)
from tasks.publishers._places.vault.target import VaultOptions
from tasks.publishers._places.vault.wire import Transport, client_for
from tasks.rotation.errors import RotatorError

_GOODBYE_S: Final = 3.0
_MERGE: Final = {"Content-Type": "application/merge-patch+json"}
_CHANGED_MEANWHILE: Final = "check-and-set parameter did not match"

Answer = TypeVar("Answer")
Shape = TypeVar("Shape", bound=BaseModel)


class _Shaped(BaseModel):
    """What we rely on of an answer. Its faults repeat nothing of it."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class _Version(_Shaped):
    version: int
    custom_metadata: dict[str, object] | None = None


class _Secret(_Shaped):
    data: dict[str, object] | None
    metadata: _Version


class _MountOptions(_Shaped):
    version: str | None = None


class _Rights(_Shaped):
    paths: dict[str, set[str]]


class Mount(_Shaped):
    """What is mounted where the secret should be."""

    path: str
    type: str
    options: _MountOptions | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A secret as it was read. ``version`` 0 is none at all; one that is not ``live`` was deleted."""

    version: int = 0
    live: bool = False
    fields: Mapping[str, object] = field(default_factory=dict, repr=False)
    custom_metadata: Mapping[str, object] = field(default_factory=dict)


class VaultSecret:
    """One secret over a connection of its own, as whoever logs in. Raises families of ours; tries nothing twice."""

    def __init__(self, options: VaultOptions, label: str) -> None:
        self._options = options
        self._label = label
        self._transport = Transport()
        self._client = client_for(options, self._transport, label)
        self._logged_in = False

    def use_token(self, token: str) -> None:
        """Be whoever the token is for."""
        self._client.token = token

    def log_in(self, login: Callable[[Client], object]) -> None:
        """Be whoever ``login`` makes us, until ``close``. Raises ``CredentialRejected`` when it is refused."""
        try:
            asked(lambda: _with_token(self._client, login))
            self._logged_in = True
            return
        except (vault.InvalidRequest, vault.Unauthorized, vault.Forbidden, vault.InvalidPath):
            raised = login_refused(self._label)
        except tuple(FAULTS) as error:
            raised = self._translated(error)
        raise raised

    def close(self) -> None:
        """Give back what the login gave, and hang up. A login that cannot be given back comes to its end by itself."""
        if self._logged_in:
            self._transport.extend(_GOODBYE_S)
            with suppress(*FAULTS):
                asked(self._client.auth.token.revoke_self)
        self._client.adapter.close()

    def read(self) -> Found:
        """The newest version, and what is written beside all of them."""
        secret = self._ask(self._read)
        if secret is None:
            return Found()
        return Found(
            version=secret.metadata.version,
            live=secret.data is not None,
            fields=secret.data or {},
            custom_metadata=secret.metadata.custom_metadata or {},
        )

    def write(self, found: Found, fields: Mapping[str, str | None]) -> bool:
        """Set fields in the version after ``found``, take away those that are None, and leave the others.

        False, and nothing done, when ``found`` is not the newest any more.
        """
        options, kv = self._options, self._client.secrets.kv.v2
        there = {name: value for name, value in fields.items() if value is not None}
        change = {"options": {"cas": found.version}, "data": dict(fields)}

        def write() -> object:
            if found.live:
                return self._patch("data", change)
            return kv.create_or_update_secret(options.path, there, cas=found.version, mount_point=options.mount)

        return self._ask(lambda: _unless_changed(lambda: _shaped(_Version, _data(write()))), changes=True)

    def annotate(self, entries: Mapping[str, str | None]) -> bool:
        """Set entries of the custom metadata, and take away those that are None. False when there is no secret."""
        change = {"custom_metadata": dict(entries)}
        return self._ask(lambda: _unless_changed(lambda: self._patch("metadata", change)))

    def mount(self) -> Mount:
        """What is mounted there, asked as Vault's own command line does."""
        path = quote(f"/v1/sys/internal/ui/mounts/{self._options.mount}/{self._options.path}")
        return self._ask(lambda: _shaped(Mount, _data(self._client.adapter.get(path))))

    def rights(self, paths: Iterable[str]) -> dict[str, set[str]] | None:
        """What we may do at paths of the API; None when we may not even ask that."""
        return self._ask(lambda: self._rights(paths))

    def _read(self) -> _Secret | None:
        kv, options = self._client.secrets.kv.v2, self._options
        try:
            body = kv.read_secret_version(options.path, mount_point=options.mount, raise_on_deleted_version=True)
        except vault.InvalidPath as missing:
            body = missing.json
            if body == {"errors": []}:
                return None
            if not isinstance(body, dict) or "data" not in body:
                raise
        try:
            return _Secret.model_validate(_data(body))
        except ValidationError:
            raise NotVersioned from None

    def _rights(self, paths: Iterable[str]) -> dict[str, set[str]] | None:
        try:
            answer = _data(self._client.adapter.post("/v1/sys/capabilities-self", json={"paths": list(paths)}))
        except vault.Forbidden:
            return None
        return _shaped(_Rights, {"paths": {path: answer[path] for path in paths}}).paths

    def _patch(self, part: str, change: object) -> object:
        """``hvac`` merges on its own side, and knows no patch of metadata: the server does both better."""
        url = quote(f"/v1/{self._options.mount}/{part}/{self._options.path}")
        return self._client.adapter.request("patch", url, json=change, headers=dict(_MERGE))

    def _ask(self, call: Callable[[], Answer], *, changes: bool = False) -> Answer:
        """The answer, or one of our families. ``changes``: a lost answer leaves the outcome unknown.

        The foreign error is not chained: it may hold the answer, and an answer may hold the secret.
        """
        try:
            return asked(call)
        except tuple(FAULTS) as error:
            raised = self._translated(error, changes=changes)
        raise raised

    def _translated(self, error: Exception, *, changes: bool = False) -> RotatorError:
        if isinstance(error, vault.Forbidden) and not self._logged_in and self._token_is_none():
            return token_refused(self._label)
        return translated(
            error,
            self._label,
            status=self._transport.status,
            retry_after=self._transport.retry_after,
            changes=changes,
            policy=self._options.policy,
        )

    def _token_is_none(self) -> bool:
        """Every token of the policy ``default`` may look at itself."""
        try:
            asked(self._client.auth.token.lookup_self)
        except vault.Forbidden:
            return True
        except tuple(FAULTS):
            pass
        return False


def _with_token(client: Client, login: Callable[[Client], object]) -> None:
    """``hvac`` takes whatever the answer says is the token."""
    login(client)
    if not (isinstance(client.token, str) and client.token.isascii() and client.token.isprintable() and client.token):
        raise NotVault


def _unless_changed(write: Callable[[], object]) -> bool:
    """Whether it was done. What it was decided from may have changed meanwhile, or be gone: then nothing was done."""
    try:
        write()
    except vault.InvalidPath:
        return False
    except vault.InvalidRequest as error:
        if _CHANGED_MEANWHILE in str(error):
            return False
        raise
    return True


def _data(answer: object) -> Mapping[str, object]:
    data = answer.get("data") if isinstance(answer, Mapping) else None
    if not isinstance(data, Mapping):
        raise NotVault
    return data


def _shaped(shape: type[Shape], data: Mapping[str, object]) -> Shape:
    try:
        return shape.model_validate(data)
    except ValidationError:
        raise NotVault from None
