"""GitHub's API for Actions secrets, emulated from its public documentation (https://docs.github.com/rest).

Repositories, environments, organisations, and tokens of both kinds. It opens what was sealed with its private key, as
GitHub does, and shows applications (workflows) the value; the API never does. Its clock stands still but for writes.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count
from secrets import token_hex

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, SealedBox

from tests.contract.places._served import Request, Response, serving

NO_CONTENT, CREATED = 204, 201


@dataclass
class Kept:
    """A secret as GitHub keeps it."""

    value: str
    created_at: datetime
    updated_at: datetime
    access: dict[str, object] = field(default_factory=dict)


@dataclass
class Repository:
    id: int
    archived: bool = False
    push: bool = True


@dataclass
class Token:
    """``rights`` of a fine-grained token, such as ``secrets:read``; or the ``scopes`` of a classic one."""

    rights: frozenset[str] = frozenset()
    scopes: str | None = None


@dataclass
class GitHub:
    """Everything that there is. ``mishap`` may answer in its place, before anything is done, or after."""

    url: str = ""
    now: datetime = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
    step: timedelta = timedelta(seconds=1)
    private_key: PrivateKey = field(default_factory=PrivateKey.generate)
    key_id: str = "568250167242549743"
    tokens: dict[str, Token] = field(default_factory=dict)
    repositories: dict[str, Repository] = field(default_factory=dict)
    organisations: set[str] = field(default_factory=set)
    kept: dict[tuple[str, ...], dict[str, Kept]] = field(default_factory=dict)
    """By place: (owner, repository), (owner, repository, environment), or (organisation,)."""
    mishap: Callable[[Request], Response | None] = lambda request: None
    afterwards: Callable[[Request, Response], Response] = lambda request, response: response
    ids: Iterator[int] = field(default_factory=lambda: count(1296269))

    def repository(self, owner: str, name: str, *environments: str) -> tuple[str, str]:
        """Make one."""
        self.repositories[f"{owner}/{name}".lower()] = Repository(next(self.ids))
        self.kept[owner.lower(), name.lower()] = {}
        for environment in environments:
            self.kept[owner.lower(), name.lower(), environment.lower()] = {}
        return owner, name

    def organisation(self, name: str) -> str:
        """Make one."""
        self.organisations.add(name.lower())
        self.kept[(name.lower(),)] = {}
        return name

    def token(self, *rights: str, scopes: str | None = None) -> str:
        """Hand one out."""
        text = token_hex(20)
        self.tokens[text] = Token(frozenset(rights), scopes)
        return text

    def write(self, place: tuple[str, ...], name: str, value: str, **access: object) -> bool:
        """Somebody sets a secret; whether it is a new one."""
        self.now += self.step
        secrets = self.kept[place]
        found = secrets.get(name)
        secrets[name] = Kept(value, found.created_at if found else self.now, self.now, access)
        return found is None

    # --- the API -------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        response = self.mishap(request) or self._answer(request)
        response = self.afterwards(request, response)
        token = self.tokens.get(request.bearer)
        scopes = {} if token is None or token.scopes is None else {"X-OAuth-Scopes": token.scopes}
        headers = {"Date": format_datetime(self.now, usegmt=True), **scopes, **response.headers}
        return response if response.status == 0 else Response(response.status, response.body, headers)

    def _answer(self, request: Request) -> Response:  # noqa: PLR0911 - a table of routes
        token = self.tokens.get(request.bearer)
        if not request.headers.get("User-Agent"):
            return _error(403, "Request forbidden by administrative rules.")
        if request.headers.get("X-GitHub-Api-Version") != "2022-11-28":
            return _error(400, "API version not supported.")
        if token is None:
            return _error(401, "Bad credentials")
        match request.path:
            case ("repos", owner, name):
                return self._repository(f"{owner}/{name}".lower())
            case ("repos", owner, name, "actions", "secrets", secret):
                return self._secret(request, token, (owner.lower(), name.lower()), secret, "secrets")
            case ("repos", owner, name, "environments", environment, "secrets", secret):
                place = (owner.lower(), name.lower(), environment.lower())
                return self._secret(request, token, place, secret, "environments")
            case ("orgs", name, "actions", "secrets", secret):
                return self._secret(request, token, (name.lower(),), secret, "organization_secrets")
        return _error(404, "Not Found")

    def _repository(self, name: str) -> Response:
        found = self.repositories.get(name)
        if found is None:
            return _error(404, "Not Found")
        permissions = {"admin": found.push, "push": found.push, "pull": True}
        owner, _, short = name.partition("/")
        return Response(
            200,
            {
                "id": found.id,
                "name": short,
                "full_name": name,
                "owner": {"login": owner},
                "archived": found.archived,
                "permissions": permissions,
            },
        )

    def _secret(self, request: Request, token: Token, place: tuple[str, ...], name: str, right: str) -> Response:
        wanted = f"{right}:{'read' if request.method == 'GET' else 'write'}"
        if place not in self.kept:
            return _error(404, "Not Found")
        if not self._may(token, wanted, place):
            accepted = {"X-Accepted-GitHub-Permissions": wanted.replace(":", "=")}
            return Response(403, {"message": "Resource not accessible by personal access token"}, accepted)
        if (request.method, name) == ("GET", "public-key"):
            key = base64.b64encode(bytes(self.private_key.public_key)).decode()
            return Response(200, {"key_id": self.key_id, "key": key})
        return self._put(request, place, name.upper()) if request.method == "PUT" else self._kept(request, place, name)

    def _kept(self, request: Request, place: tuple[str, ...], name: str) -> Response:
        found = self.kept[place].get(name.upper())
        if found is None:
            return _error(404, "Not Found")
        if request.method == "DELETE":
            del self.kept[place][name.upper()]
            return Response(NO_CONTENT)
        times = {"created_at": found.created_at, "updated_at": found.updated_at}
        shown = {key: f"{at:%Y-%m-%dT%H:%M:%SZ}" for key, at in times.items()}
        visibility = {"visibility": found.access["visibility"]} if len(place) == 1 else {}
        return Response(200, {"name": name.upper(), **shown, **visibility})

    def _may(self, token: Token, wanted: str, place: tuple[str, ...]) -> bool:
        if token.scopes is not None:
            return ("admin:org" if len(place) == 1 else "repo") in token.scopes.split(", ")
        return wanted in token.rights

    def _put(self, request: Request, place: tuple[str, ...], name: str) -> Response:
        if len(place) > 1 and self.repositories["/".join(place[:2])].archived:
            return _error(403, "Repository was archived so is read-only.")
        given = request.json
        if name.startswith("GITHUB_") or given.get("key_id") != self.key_id:
            return _error(422, "Bad request")
        try:
            sealed = base64.b64decode(str(given.get("encrypted_value")), validate=True)
            value = SealedBox(self.private_key).decrypt(sealed).decode()
        except (CryptoError, ValueError):
            return _error(422, "Bad request - the value was not sealed for this key")
        access = {key: given[key] for key in ("visibility", "selected_repository_ids") if key in given}
        if (len(place) == 1) != (access.get("visibility") in {"all", "private", "selected"}):
            return _error(422, 'Invalid request. "visibility" is not right here.')
        if ("selected_repository_ids" in access) != (access.get("visibility") == "selected"):
            return _error(422, "You can only provide a list of repository ids when the visibility is set to selected.")
        return Response(CREATED, {}) if self.write(place, name, value, **access) else Response(NO_CONTENT)


def _error(status: int, message: str) -> Response:
    return Response(
        status, {"message": message, "documentation_url": "https://docs.github.com/rest", "status": str(status)}
    )


@contextmanager
def running_github() -> Iterator[GitHub]:
    """One that answers on loopback."""
    github = GitHub()
    with serving(github.answer) as url:
        github.url = url
        yield github
