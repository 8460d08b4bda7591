"""Infisical's secrets API, emulated from its public contract: https://infisical.com/docs/api-reference, and the errors
that its server's source gives. Versions 3 and 4, Universal Auth, roles, folders, metadata, approval policies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from secrets import token_hex

from tests.contract.places._served import Request, Response, serving

ALL = frozenset({"describe", "readValue", "create", "edit", "delete"})
HIDDEN = "<hidden-by-infisical>"


@dataclass
class Kept:
    """A secret as Infisical keeps it."""

    value: str
    version: int = 1
    comment: str = ""
    metadata: list[dict[str, object]] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    rotated: bool = False


Place = tuple[str, str, str]
"""Project, environment, path."""


@dataclass
class Infisical:
    """Everything that there is. ``mishap`` may answer in its place, before anything is done, ``afterwards`` after."""

    url: str = ""
    versions: frozenset[str] = frozenset({"v3", "v4"})
    folders: dict[Place, dict[str, Kept]] = field(default_factory=dict)
    identities: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    """Client secret and rights, by client id."""
    tokens: dict[str, frozenset[str]] = field(default_factory=dict)
    expired: set[str] = field(default_factory=set)
    approvals: set[Place] = field(default_factory=set)
    requests: list[dict[str, object]] = field(default_factory=list)
    logins: int = 0
    mishap: Callable[[Request], Response | None] = lambda request: None
    afterwards: Callable[[Request, Response], Response] = lambda request, response: response

    def folder(self, project: str, environment: str, path: str) -> Place:
        """Make one."""
        self.folders[project, environment, path] = {}
        return project, environment, path

    def identity(self, rights: frozenset[str] = ALL) -> tuple[str, str]:
        """A machine identity's client id and client secret."""
        client_id, client_secret = f"client-{token_hex(4)}", token_hex(32)
        self.identities[client_id] = (client_secret, rights)
        return client_id, client_secret

    def token(self, rights: frozenset[str] = ALL) -> str:
        """An access token."""
        text = f"ey.{token_hex(32)}"
        self.tokens[text] = rights
        return text

    def write(self, place: Place, name: str, value: str, **more: object) -> None:
        """Somebody sets the value, or more of it, and leaves the rest."""
        found = self.folders[place].get(name)
        kept = Kept(value) if found is None else found
        kept.value, kept.version = value, kept.version + (found is not None)
        for key, given in more.items():
            setattr(kept, key, given)
        self.folders[place][name] = kept

    # --- the API -------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        return self.afterwards(request, self.mishap(request) or self._answer(request))

    def _answer(self, request: Request) -> Response:
        match request.path:
            case ("api", "v1", "auth", "universal-auth", "login") if request.method == "POST":
                return self._login(request)
            case ("api", "v4", "secrets", name) if "v4" in self.versions:
                return self._secret(request, name, "projectId", in_v4=True)
            case ("api", "v3", "secrets", "raw", name) if "v3" in self.versions:
                return self._secret(request, name, "workspaceId", in_v4=False)
        route = f"Route {request.method}:/{'/'.join(request.path)} not found"
        return Response(404, {"message": route, "error": "Not Found", "statusCode": 404})

    def _login(self, request: Request) -> Response:
        known = self.identities.get(str(request.json.get("clientId")))
        if known is None or known[0] != request.json.get("clientSecret"):
            return _error(401, "UnauthorizedError", "Invalid credentials")
        self.logins += 1
        token = self.token(known[1])
        return Response(
            200, {"accessToken": token, "expiresIn": 2592000, "accessTokenMaxTTL": 2592000, "tokenType": "Bearer"}
        )

    def _secret(self, request: Request, name: str, project: str, *, in_v4: bool) -> Response:
        rights = self.tokens.get(request.bearer)
        if request.bearer in self.expired or rights is None:
            known = rights is not None
            expired = _error(403, "TokenError", "Your token has expired. Please re-authenticate.")
            return expired if known else _error(401, "UnauthorizedError", "Token missing")
        asked = request.query if request.method == "GET" else request.json
        if request.method != "GET" and request.headers.get("Content-Type") != "application/json":
            return _error(415, "FastifyError", "Unsupported Media Type")
        if project not in asked or asked.get("type") != "shared":
            return _error(422, "ValidationFailure", [{"code": "invalid_type"}])
        place = (str(asked[project]), str(asked.get("environment")), str(asked.get("secretPath", "/")))
        if place not in self.folders:
            message = f"Folder with path '{place[2]}' in environment with slug '{place[1]}' not found"
            return _error(404, "SecretOperation", message)
        if request.method == "GET":
            return self._show(asked, rights, place, name, in_v4=in_v4)
        return self._change(request, rights, place, name)

    def _show(
        self, asked: dict[str, object] | dict[str, str], rights: frozenset[str], place: Place, name: str, *, in_v4: bool
    ) -> Response:
        if "describe" not in rights:
            return _error(403, "PermissionDenied", "You are not allowed to describeSecret on secrets")
        imports = asked.get("includeImports" if in_v4 else "include_imports", "true")
        if imports != "false" or asked.get("expandSecretReferences") != "false":
            return _error(422, "ValidationFailure", "this emulator knows neither imports nor references")
        found = self.folders[place].get(name)
        if found is None:
            return _error(404, "NotFoundError", f"Secret with name '{name}' not found")
        if asked.get("viewSecretValue", "true") == "true" and "readValue" not in rights:
            message = f"You do not have permission to view secret value on secret with name '{name}'"
            return _error(403, "ForbiddenReadSecretError", message)
        return Response(200, {"secret": {**_shown(place, name, found), "secretMetadata": found.metadata}})

    def _change(self, request: Request, rights: frozenset[str], place: Place, name: str) -> Response:
        found = self.folders[place].get(name)
        right = {"POST": "create", "PATCH": "edit", "DELETE": "delete"}[request.method]
        if (refusal := self._refusal(request, right, name, found)) is not None:
            return refusal
        if right not in rights:
            return _error(403, "PermissionDenied", f"You are not allowed to {right} on secrets")
        if place in self.approvals:
            self.requests.append(request.json)
            return Response(200, {"approval": {"id": token_hex(8), "slug": token_hex(4), "status": "open"}})
        if request.method == "DELETE":
            return Response(200, {"secret": _shown(place, name, self.folders[place].pop(name))})
        metadata = request.json.get("secretMetadata")
        more = {} if metadata is None else {"metadata": metadata}
        self.write(place, name, str(request.json["secretValue"]).strip(), **more)
        return Response(200, {"secret": _shown(place, name, self.folders[place][name])})

    def _refusal(self, request: Request, right: str, name: str, found: Kept | None) -> Response | None:
        if right == "create":
            return None if found is None else _error(400, "BadRequestError", "Secret already exist")
        if found is None:
            return _error(404, "NotFoundError", f"Secret with name {name} not found")
        if found.rotated and request.method == "PATCH":
            return _error(400, "BadRequestError", "Cannot update rotated secret name or value")
        return None


def _shown(place: Place, name: str, kept: Kept) -> dict[str, object]:
    return {
        "id": name,
        "_id": name,
        "workspace": place[0],
        "environment": place[1],
        "secretPath": place[2],
        "version": kept.version,
        "type": "shared",
        "secretKey": name,
        "secretValue": kept.value,
        "secretValueHidden": False,
        "secretComment": kept.comment,
        "tags": kept.tags,
        "isRotatedSecret": kept.rotated,
        "createdAt": "2026-03-01T12:00:00.000Z",
        "updatedAt": "2026-03-01T12:00:00.000Z",
    }


def _error(status: int, error: str, message: object) -> Response:
    return Response(status, {"reqId": token_hex(4), "statusCode": status, "error": error, "message": message})


@contextmanager
def running_infisical() -> Iterator[Infisical]:
    """One that answers on loopback."""
    infisical = Infisical()
    with serving(infisical.answer) as url:
        infisical.url = url
        yield infisical
