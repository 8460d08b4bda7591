"""GitHub's API for the secrets of a repository, an environment or an organisation: what is asked, what it answers.

Contract: https://docs.github.com/rest/actions/secrets, and .../rest/using-the-rest-api for scopes, limits and versions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import AwareDatetime, BaseModel, Field

from tasks.publishers._places.http.client import Answer, Call, Http
from tasks.rotation.errors import OperatorNeeded

VERSION: Final = "2022-11-28"
"""Of the API; GitHub Enterprise Server has it since 3.9, and older ones have nothing else."""

_FOUND_NOTHING: Final = 404
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_MOVED: Final = (301, 302, 307, 308)
_UNPROCESSABLE: Final = 422


@dataclass(frozen=True, slots=True)
class Where:
    """Whose secrets. ``rights`` says in words which ones a token needs, ``scope`` which one a classic token."""

    label: str
    secrets_url: str
    repositories_url: str
    rights: str
    scope: str


class PublicKey(BaseModel):
    """What values are sealed to."""

    key_id: str = Field(max_length=100)
    key: str = Field(max_length=100)


class _Shown(BaseModel):
    updated_at: AwareDatetime


class _Permissions(BaseModel):
    push: bool = True


class _Repository(BaseModel):
    id: int
    archived: bool = False
    permissions: _Permissions = _Permissions()


class Secrets:
    """Secrets by their names, for the questions of one call. Each raises the families of ``client``."""

    def __init__(self, http: Http, where: Where, authorization: Mapping[str, str]) -> None:
        self._http = http
        self._where = where
        self._headers = {
            **authorization,
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": VERSION,
        }

    def public_key(self) -> PublicKey:
        """What GitHub wants values sealed to, now. Asking for it proves that the place is there and may be read."""
        return self._public_key()[0]

    def refuse_unwritable(self, repository: str | None) -> None:
        """Raise ``OperatorNeeded`` for an archived repository, and for a classic token that could not write: GitHub
        says which scopes it has, and what its user may do there. Of other tokens' rights it tells nothing."""
        scopes = self._public_key()[1].headers.get("x-oauth-scopes")
        if scopes is not None and self._where.scope not in scopes.replace(" ", "").split(","):
            raise self._unwritable(f"the token has not the scope {self._where.scope}", self._where.rights)
        found = None if repository is None else self._repository(repository)
        if found is not None and found.archived:
            raise self._unwritable("the repository is archived", "Unarchive it, or publish to another.")
        if found is not None and scopes is not None and not found.permissions.push:
            raise self._unwritable("the token's user may not write there", "Let the user write to the repository.")

    def updated_at(self, name: str, *, written: bool = False) -> datetime | None:
        """When the secret was changed last, by GitHub's clock and in whole seconds; None when there is none.

        ``written``: it has just been, so that an answer that is lost leaves the outcome unknown.
        """
        call = self._call("GET", f"/{name}", "show a secret", changes=written, accept=frozenset({_FOUND_NOTHING}))
        answer = self._http.ask(call)
        return None if answer.status == _FOUND_NOTHING else self._http.read_as(_Shown, answer, call).updated_at

    def put(self, name: str, sealed: Mapping[str, object]) -> datetime | None:
        """Make the secret hold a sealed value; GitHub's clock when it had done so, if it told."""
        body = json.dumps(sealed).encode()
        return self._http.ask(self._call("PUT", f"/{name}", "set a secret", changes=True, body=body)).server_time

    def delete(self, name: str) -> bool:
        """Whether there was one to take away."""
        accept = frozenset({_FOUND_NOTHING})
        call = self._call("DELETE", f"/{name}", "delete a secret", changes=True, accept=accept)
        return self._http.ask(call).status != _FOUND_NOTHING

    def repository_id(self, name: str) -> int:
        """The number of one of the owner's repositories."""
        return self._repository(name).id

    def _repository(self, name: str) -> _Repository:
        call = self._call("GET", "", "show a repository", url=f"{self._where.repositories_url}/{name}")
        return self._http.read_as(_Repository, self._http.ask(call), call)

    def _unwritable(self, problem: str, remedy: str) -> OperatorNeeded:
        return OperatorNeeded(f"{self._where.label}: {problem}; nothing was changed.", remedy)

    def _public_key(self) -> tuple[PublicKey, Answer]:
        call = self._call("GET", "/public-key", "hand out its public key")
        answer = self._http.ask(call)
        return self._http.read_as(PublicKey, answer, call), answer

    def _call(
        self,
        method: str,
        path: str,
        purpose: str,
        *,
        url: str | None = None,
        body: bytes | None = None,
        changes: bool = False,
        accept: frozenset[int] = frozenset(),
    ) -> Call:
        return Call(
            method,
            f"{self._where.secrets_url if url is None else url}{path}",
            purpose,
            headers=self._headers,
            body=body,
            changes=changes,
            accept=accept,
            remedies=self._remedies,
        )

    @property
    def _remedies(self) -> dict[int, str]:
        """What a person can do, by status. GitHub answers 404 where it does not want to tell that something exists."""
        return {
            _UNAUTHORIZED: "Make a new token, or correct the reference to it.",
            _FORBIDDEN: f"{self._where.rights} An organisation may also want it authorized for single sign-on.",
            _FOUND_NOTHING: "It is not there, or the token may not see it; an environment must exist first."
            f" {self._where.rights}",
            _UNPROCESSABLE: "Is there room for another secret (100 in a repository, 1000 in an organisation)?",
            **dict.fromkeys(_MOVED, "It was renamed or moved: write its present name into the target."),
        }
