"""Infisical's public HTTP API for one secret of one folder: what is asked there, and what it answers.

Contract: https://infisical.com/docs/api-reference, and of errors what the server's own source says (Infisical/infisical
at GitHub, ``backend/src/server``), read in 2026. Version 4 of these endpoints came late in 2025; version 3 is served
on, and differs in its addresses and in one name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Self
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from config.secret import Secret
from tasks.publishers._places.http.client import Answer, Call, Http
from tasks.publishers._places.http.faults import refused
from tasks.rotation.errors import CredentialRejected, OperatorNeeded, Refused, RotatorError, TryAgain

_BAD_REQUEST: Final = 400
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_FOUND_NOTHING: Final = 404

_NO_FOLDER: Final = re.compile(r"(Folder|Environment|Project)\b")
"""How the message of a 404 begins that means more than the secret."""
_NO_ROUTE: Final = re.compile(r"Route \w+:")
_RIGHTS: Final = (
    "Give the machine identity a role in the project that lets it describe, read, create, edit and delete secrets in"
    " this environment and path."
)
_NEW_LOGIN: Final = (
    "Correct the client id and the client secret, or the token. A client secret may have expired, or be locked for a"
    " while after failures; it must not be limited to a number of uses."
)
_REMEDIES: Final = {
    _BAD_REQUEST: "Look at the project's rules for secrets: capital letters, references, who rotates it.",
    _UNAUTHORIZED: _NEW_LOGIN,
    _FORBIDDEN: _RIGHTS,
}


@dataclass(frozen=True, slots=True)
class Where:
    """Which secret."""

    label: str
    server: str
    project: str
    environment: str
    path: str
    name: str
    version: Literal["v3", "v4"]

    @property
    def secret_url(self) -> str:
        """The secret's own."""
        endpoint = "v4/secrets" if self.version == "v4" else "v3/secrets/raw"
        return f"{self.server}/api/{endpoint}/{quote(self.name, safe='')}"

    @property
    def scope(self) -> dict[str, str]:
        """Where it is, as every question says it."""
        project = "projectId" if self.version == "v4" else "workspaceId"
        return {project: self.project, "environment": self.environment, "secretPath": self.path, "type": "shared"}


class Metadatum(BaseModel):
    """A name and a text that somebody attached to a secret. What is written replaces all of them."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    key: str
    value: str = ""
    isEncrypted: bool | None = None  # noqa: N815 - Infisical's name


class Found(BaseModel):
    """A secret as it is."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    version: int
    value: str = Field(alias="secretValue", repr=False)
    is_hidden: bool = Field(False, alias="secretValueHidden")
    is_rotated: bool | None = Field(None, alias="isRotatedSecret")
    metadata: list[Metadatum] | None = Field(None, alias="secretMetadata")


class _Login(BaseModel):
    accessToken: str = Field(min_length=1, repr=False)  # noqa: N815 - Infisical's name


class _Read(BaseModel):
    secret: Found


class _Version(BaseModel):
    version: int


class _Written(BaseModel):
    """A write answers with the secret, or with the request for approval that it became."""

    secret: _Version | None = None
    approval: dict[str, object] | None = None

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if self.secret is None and self.approval is None:
            raise ValueError("neither a secret nor a request for approval")
        return self


class _Refusal(BaseModel):
    error: str = ""
    message: str = ""


def logged_in(http: Http, where: Where, client_id: str, client_secret: str) -> Secret:
    """The access token of a machine identity, by Universal Auth. Infisical counts it as a use of the client secret."""
    call = Call(
        "POST",
        f"{where.server}/api/v1/auth/universal-auth/login",
        "log in",
        headers={"Content-Type": "application/json"},
        body=json.dumps({"clientId": client_id, "clientSecret": client_secret}).encode(),
        remedies={
            **_REMEDIES,
            _FORBIDDEN: "Allow this machine's address in the identity's Universal Auth.",
            _FOUND_NOTHING: "Is it Infisical that answers there?",
        },
    )
    return Secret(http.read_as(_Login, http.ask(call), call).accessToken)


class OneSecret:
    """The secret, for the questions of one call. Each raises the families of ``client``."""

    def __init__(self, http: Http, where: Where, authorization: Mapping[str, str]) -> None:
        self._http = http
        self._where = where
        self._headers = {**authorization, "Content-Type": "application/json"}

    def find(self) -> Found | None:
        """What it holds, without what other folders would lend it or references would make of it; None for none.

        Raises ``Refused`` when there is no such folder, environment or project.
        """
        options = dict.fromkeys(("expandSecretReferences", "include_imports", "includeImports"), "false")
        query = urlencode({**self._where.scope, "viewSecretValue": "true", **options})
        call = self._call("GET", "show a secret", query=query)
        answer = self._ask(call)
        if answer.status == _FOUND_NOTHING:
            self._refuse_missing_place(answer, call)
            return None
        found = self._http.read_as(_Read, answer, call).secret
        if found.is_hidden:
            raise OperatorNeeded(f"{self._where.label}: its value is hidden from us; nothing was changed.", _RIGHTS)
        return found

    def create(self, value: str, metadata: list[Metadatum]) -> None:
        """Make it. Raises ``TryAgain`` when somebody else has just done so."""
        call = self._call("POST", "make a secret", body=_written(value, metadata), accept=[_BAD_REQUEST])
        answer = self._ask(call)
        if answer.status == _FOUND_NOTHING:
            raise self._refused(answer, call)
        if answer.status == _BAD_REQUEST:
            raise self._refused(answer, call) if self.find() is None else self._meanwhile()
        self._version(answer, call)

    def update(self, value: str, metadata: list[Metadatum]) -> int:
        """Make it hold another value and exactly these metadata; the version that it has then. Raises ``TryAgain`` when
        somebody else has just taken it away."""
        call = self._call("PATCH", "change a secret", body=_written(value, metadata))
        answer = self._ask(call)
        if answer.status == _FOUND_NOTHING:
            raise self._meanwhile()
        return self._version(answer, call)

    def delete(self) -> None:
        """Take it away; somebody else may have done so."""
        call = self._call("DELETE", "delete a secret", body={})
        answer = self._ask(call)
        if answer.status != _FOUND_NOTHING:
            self._version(answer, call)

    def _call(
        self,
        method: str,
        purpose: str,
        *,
        query: str = "",
        body: Mapping[str, object] | None = None,
        accept: Collection[int] = (),
    ) -> Call:
        url = self._where.secret_url
        return Call(
            method,
            f"{url}?{query}" if query else url,
            purpose,
            headers=self._headers,
            body=None if body is None else json.dumps({**self._where.scope, **body}).encode(),
            changes=method != "GET",
            accept=frozenset({_FOUND_NOTHING, _FORBIDDEN, *accept}),
            remedies=_REMEDIES,
        )

    def _ask(self, call: Call) -> Answer:
        """The answer. A 403 is about the token, or about what it may do."""
        answer = self._http.ask(call)
        if answer.status == _FORBIDDEN and _refusal(answer).error == "TokenError":
            raise CredentialRejected(
                f"{self._where.label}: the access token was refused; nothing was changed.", _NEW_LOGIN
            )
        if answer.status == _FORBIDDEN:
            raise self._refused(answer, call)
        return answer

    def _version(self, answer: Answer, call: Call) -> int:
        """The version that a write made. Raises ``OperatorNeeded`` when it only made a request for approval."""
        written = self._http.read_as(_Written, answer, call)
        if written.secret is not None:
            return written.secret.version
        raise OperatorNeeded(
            f"{self._where.label}: an approval policy made a change request of it; the secret is as it was.",
            "Approve it in Infisical, and exempt the machine identity, or this environment and path, from the policy.",
        )

    def _refuse_missing_place(self, answer: Answer, call: Call) -> None:
        """Raise ``Refused`` for a 404 that is about more than the secret."""
        refusal = _refusal(answer)
        if _NO_ROUTE.match(refusal.message) or not refusal.message:
            remedy = "Is it Infisical that answers there? A server of before the end of 2025 needs ?api=v3."
        elif _NO_FOLDER.match(refusal.message):
            remedy = "Make the folder in Infisical, or correct project, environment and path."
        else:
            return
        raise Refused(f"{self._where.label}: asked to {call.purpose}, it found not even its place.", remedy)

    def _refused(self, answer: Answer, call: Call) -> RotatorError:
        return refused(answer, self._where.label, call)

    def _meanwhile(self) -> TryAgain:
        return TryAgain(
            f"{self._where.label}: somebody else made it or took it away in the same moment; that was left as it is."
        )


def _written(value: str, metadata: list[Metadatum]) -> dict[str, object]:
    return {"secretValue": value, "secretMetadata": [entry.model_dump(exclude_none=True) for entry in metadata]}


def _refusal(answer: Answer) -> _Refusal:
    """What Infisical says of a refusal; empty for what is not its."""
    try:
        return _Refusal.model_validate_json(answer.body)
    except ValidationError:
        return _Refusal()
