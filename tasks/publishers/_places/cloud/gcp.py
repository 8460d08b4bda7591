"""Secret Manager's calls for one secret, as plain data, over HTTP: no channel of gRPC whose threads a fork would lose.

Imports Google's clients: import this file inside ``needed``.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import google.auth
import google.auth.credentials
import google.oauth2.credentials
from google.auth import identity_pool
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request
from google.cloud.secretmanager_v1 import SecretManagerServiceClient, SecretVersion
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceRestTransport
from google.oauth2 import service_account

from config.secret import Secret
from tasks.publishers._places.cloud.bounded import TIMEOUT_S, Bounded, bind, bounded_session, hushed
from tasks.publishers._places.cloud.crc32c import crc32c
from tasks.publishers._places.cloud.faults import GARBAGE
from tasks.publishers._places.cloud.gcp_faults import Answer, Missing, WrongState, asked, logged_in
from tasks.publishers._shared.patience import patiently
from tasks.rotation.errors import Broken, OperatorNeeded, OutcomeUnknown, TryAgain

LOGIN_S: Final = 10.0
"""For finding out who we are, and for each token: Google's own chain may run gcloud, or a program that lends tokens."""
_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
_ONCE: Final[Mapping[str, Any]] = {"retry": None, "timeout": TIMEOUT_S}
_VERSION: Final = re.compile(r"/versions/([0-9]{1,18})")
_LOUD: Final = (
    "google",
    "google.auth.transport.requests",  # DEBUG prints bodies, and in them the value
    "google.cloud.secretmanager_v1.services.secret_manager_service.transports.rest",  # the same
)

_Loader = Callable[..., google.auth.credentials.Credentials]
_LOADERS: Final[Mapping[object, _Loader]] = {
    "service_account": service_account.Credentials.from_service_account_info,
    "external_account": identity_pool.Credentials.from_info,
    "authorized_user": google.oauth2.credentials.Credentials.from_authorized_user_info,
}
"""By the type that a credentials file names. One of another type may run programs, and is no destination's to name."""


@dataclass(frozen=True, slots=True)
class Found:
    """A secret without its value, as it was when ``etag`` was the current one."""

    annotations: Mapping[str, str]
    etag: str


@dataclass(frozen=True, slots=True)
class Held:
    """The version that applications read. ``value`` is None where it is empty, or the version disabled or destroyed."""

    number: int
    value: Secret | None


@dataclass(frozen=True, slots=True)
class SecretManager:
    """One secret. Each method is one request, or two; each raises the families of ``errors``."""

    client: SecretManagerServiceClient
    name: str
    label: str
    adapter: Bounded

    def secret(self) -> Found:
        """Raises ``Missing``."""
        found = self._asked(lambda: self.client.get_secret(request={"name": self.name}, **_ONCE))
        return Found(dict(found.annotations), found.etag)

    def annotate(self, found: Found, annotations: Mapping[str, str]) -> Found | None:
        """Replace the annotations; None, and nothing done, when the secret was changed since ``found``."""
        secret = {"name": self.name, "annotations": dict(annotations), "etag": found.etag}
        request = {"secret": secret, "update_mask": {"paths": ["annotations"]}}
        try:
            changed = self._asked(lambda: self.client.update_secret(request=request, **_ONCE), changes=True)
        except WrongState:
            return None
        return Found(dict(changed.annotations), changed.etag)

    def latest(self) -> Held | None:
        """What applications read, though for some minutes Google may show the version before; None for none."""
        return self._accessed("latest")

    def value(self, number: int) -> Secret | None:
        """What a version holds, as it is now; None also where there is no such version."""
        held = self._accessed(str(number))
        return held.value if held else None

    def add(self, text: str) -> int:
        """Add a version; its number."""
        data = text.encode()
        request = {"parent": self.name, "payload": {"data": data, "data_crc32c": crc32c(data)}}
        version = self._asked(lambda: self.client.add_secret_version(request=request, **_ONCE), changes=True)
        if not version.client_specified_payload_checksum:
            raise OutcomeUnknown(f"{self.label}: the value was set, but nobody looked whether it arrived undamaged.")
        return self._number(version.name)

    def destroy(self, number: int) -> None:
        """Destroy a version's value, for good. Idempotent."""
        self._end(lambda: self.client.destroy_secret_version(request=self._version(number), **_ONCE))

    def disable(self, number: int) -> None:
        """Make a version unreadable. Idempotent; one that was destroyed stays so."""
        self._end(lambda: self.client.disable_secret_version(request=self._version(number), **_ONCE))

    def lacking(self, permissions: tuple[str, ...]) -> list[str]:
        """Which of these permissions we do not have on the secret."""
        request = {"resource": self.name, "permissions": list(permissions)}
        answer = self._asked(lambda: self.client.test_iam_permissions(request=request, **_ONCE))
        return [permission for permission in permissions if permission not in answer.permissions]

    def _accessed(self, version: str) -> Held | None:
        name = f"{self.name}/versions/{version}"
        try:
            answer = self._asked(lambda: self.client.access_secret_version(request={"name": name}, **_ONCE))
        except Missing:
            return None
        except WrongState:
            found = self._asked(lambda: self.client.get_secret_version(request={"name": name}, **_ONCE))
            if found.state == SecretVersion.State.ENABLED:
                raise  # the state of something else, such as the key of a KMS
            return Held(self._number(found.name), None)
        data = answer.payload.data
        if answer.payload.data_crc32c != crc32c(data):
            raise TryAgain(f"{self.label}: the value was damaged on its way to here; it was left as it is.")
        return Held(self._number(answer.name), Secret(data.decode(errors="replace")) if data else None)

    def _version(self, number: int) -> dict[str, str]:
        return {"name": f"{self.name}/versions/{number}"}

    def _end(self, call: Callable[[], object]) -> None:
        try:
            self._asked(call, changes=True)
        except (Missing, WrongState):
            return  # it was destroyed before

    def _asked(self, call: Callable[[], Answer], *, changes: bool = False) -> Answer:
        return asked(call, self.label, self.adapter, changes=changes)

    def _number(self, name: str) -> int:
        found = _VERSION.search(name)
        if found is None:
            raise Broken(f"{self.label}: the answer names no version.")
        return int(found[1])


@contextmanager
def opened(label: str, *, name: str, endpoint: str, credentials: str | None) -> Iterator[SecretManager]:
    """The secret ``name``, for one call of ours. ``credentials`` is a file's content; None: Google's own chain."""
    hushed(*_LOUD)
    hushed("google.auth._default", least=logging.ERROR)  # warns at each call that there is no default project
    adapter = Bounded()
    with bounded_session(adapter) as session:
        request = Request(session)
        who = "google" if credentials is None else f"google {name}"
        if credentials is None:
            found = logged_in(patiently(label, who, lambda: _chain(request), within_s=LOGIN_S), label, adapter)
        else:
            found = _read(label, credentials)
        if isinstance(found, service_account.Credentials):
            # Signed here, so that no other server is needed.
            found = found.with_always_use_jwt_access(True)  # type: ignore[no-untyped-call]  # google-auth has few types
        asked(patiently(label, who, lambda: found.refresh(request), within_s=LOGIN_S), label, adapter)  # type: ignore[no-untyped-call]  # as above
        transport = SecretManagerServiceRestTransport(host=endpoint, credentials=found)
        for its in (transport._session, transport._session._auth_request_session):
            bind(its, adapter)
        with asked(lambda: SecretManagerServiceClient(transport=transport), label, adapter) as client:
            yield SecretManager(client, name, label, adapter)


def _chain(request: Request) -> google.auth.credentials.Credentials:
    return google.auth.default(scopes=_SCOPES, request=request)[0]


def _read(label: str, text: str) -> google.auth.credentials.Credentials:
    try:
        described = json.loads(text)
        return _LOADERS[described["type"]](described, scopes=_SCOPES)
    except (*GARBAGE, GoogleAuthError):
        pass
    # Raised outside the handler: the foreign errors hold the file's content, which is a private key.
    raise OperatorNeeded(
        f"{label}: the credentials file cannot be used; nothing was changed.",
        f"It must be the JSON of Google of one of these types: {', '.join(map(str, _LOADERS))}.",
    )
