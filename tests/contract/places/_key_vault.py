"""Key Vault and Microsoft Entra as their public REST contracts describe them.

Written from the documentation, without the clients (July 2025): https://learn.microsoft.com/rest/api/keyvault/secrets,
its page on authentication, requests and responses for the challenge, and the one on the client credentials flow for
tokens. Inner codes of errors are those that people report. Microsoft's own clients read the answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_hex
from urllib.parse import parse_qs
from uuid import uuid4

from tests.contract.places._cloud import Answer, Asked

RIGHTS = {"get", "set", "update", "deleted"}
_PATH = re.compile(r"/(?P<kind>secrets|deletedsecrets)/(?P<name>[0-9a-zA-Z-]{1,127})(/(?P<version>[0-9a-f]{32})?)?")


class Refusal(Exception):
    """An error as Key Vault answers it."""

    def __init__(self, status: int, code: str, inner: str = "") -> None:
        told = {"code": code, "message": "Said by the vault."} | ({"innererror": {"code": inner}} if inner else {})
        self.answer = Answer(status, {"error": told})


class Entra:
    """A tenant with one application, which proves itself with a secret."""

    def __init__(self, host: str = "login.microsoftonline.com") -> None:
        self.host = host
        self.tenant, self.client, self.secret = str(uuid4()), str(uuid4()), token_hex(16)
        self.tokens: set[str] = set()
        self.scopes: list[str] = []

    def __call__(self, asked: Asked) -> Answer:
        own = f"https://{self.host}/{self.tenant}"
        if asked.path.startswith("/common/discovery/instance"):
            known = {"preferred_network": self.host, "preferred_cache": self.host, "aliases": [self.host]}
            found = {"tenant_discovery_endpoint": f"{own}/v2.0/.well-known/openid-configuration", "metadata": [known]}
            return Answer(200, found)
        if asked.path == f"/{self.tenant}/v2.0/.well-known/openid-configuration":
            endpoints = {"token_endpoint": f"{own}/oauth2/v2.0/token", "issuer": f"{own}/v2.0"}
            return Answer(200, endpoints | {"authorization_endpoint": f"{own}/oauth2/v2.0/authorize"})
        if asked.path == f"/{self.tenant}/oauth2/v2.0/token":
            return self._token({name: values[0] for name, values in parse_qs(asked.body.decode()).items()})
        return Answer(404)

    def _token(self, form: dict[str, str]) -> Answer:
        proofs = {("client_secret", self.secret), ("client_assertion", self.secret)}
        if form["client_id"] != self.client or not proofs & set(form.items()):
            said = f"AADSTS7000215: Invalid client secret provided. {form.get('client_secret')}"
            return Answer(401, {"error": "invalid_client", "error_description": said, "error_codes": [7000215]})
        token = token_hex(16)
        self.tokens.add(token)
        self.scopes.append(form["scope"])
        return Answer(200, {"token_type": "Bearer", "expires_in": 3599, "access_token": token})


@dataclass
class Version:
    value: str
    tags: dict[str, str]
    content_type: str | None = None
    enabled: bool = True
    id: str = field(default_factory=lambda: token_hex(16))


class KeyVault:
    """One vault. Names of secrets are told apart whatever their case."""

    def __init__(self, host: str, entra: Entra, resource: str = "https://vault.azure.net") -> None:
        self.host, self.entra, self.resource = host, entra, resource
        self.accepts: Callable[[str], bool] = lambda token: token in entra.tokens
        self.granted = set(RIGHTS)
        self.secrets: dict[str, list[Version]] = {}
        self.deleted: set[str] = set()
        self.managed: set[str] = set()

    def __call__(self, asked: Asked) -> Answer:
        bearer = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if not self.accepts(bearer):
            where = f'Bearer authorization="https://{self.entra.host}/{self.entra.tenant}", resource="{self.resource}"'
            unauthorized = Refusal(401, "Unauthorized").answer.body
            return Answer(401, unauthorized, {"WWW-Authenticate": where})
        found = _PATH.fullmatch(asked.path)
        if found is None or asked.query.get("api-version") != "7.4":
            return Refusal(400, "BadParameter").answer
        try:
            return Answer(200, self._done(asked, found["kind"], found["name"].lower(), found["version"]))
        except Refusal as refusal:
            return refusal.answer

    def disable(self, name: str) -> None:
        """Somebody makes all versions unreadable, in the portal."""
        for version in self.secrets[name]:
            version.enabled = False

    def _done(self, asked: Asked, kind: str, name: str, version: str | None) -> object:
        match asked.method, kind:
            case "GET", "deletedsecrets":
                self._may("deleted")
                if name not in self.deleted:
                    raise Refusal(404, "SecretNotFound")
                return {"recoveryId": f"https://{self.host}/deletedsecrets/{name}"}
            case "GET", "secrets":
                self._may("get")
                return self._got(name, version)
            case "PUT", "secrets":
                self._may("set")
                return self._set(name, asked.json())
            case "PATCH", "secrets":
                self._may("update")
                return self._updated(name, version, asked.json())
        raise Refusal(405, "MethodNotAllowed")

    def _may(self, right: str) -> None:
        if right not in self.granted:
            raise Refusal(403, "Forbidden", "ForbiddenByRbac")

    def _found(self, name: str, version: str | None) -> Version:
        versions = [v for v in self.secrets.get(name, []) if version in {None, v.id}]
        if not versions or name in self.deleted:
            raise Refusal(404, "SecretNotFound")
        return versions[-1]

    def _got(self, name: str, version: str | None) -> object:
        found = self._found(name, version)
        if not found.enabled:
            raise Refusal(403, "Forbidden", "SecretDisabled")
        return {"value": found.value} | self._shown(name, found)

    def _set(self, name: str, body: dict[str, object]) -> object:
        if name in self.deleted:
            raise Refusal(409, "Conflict", "ObjectIsDeletedButRecoverable")
        value, tags, content_type = body.get("value"), body.get("tags") or {}, body.get("contentType")
        if not isinstance(value, str) or not isinstance(tags, dict):
            raise Refusal(400, "BadParameter")
        version = Version(value, _checked(tags), content_type if isinstance(content_type, str) else None)
        self.secrets.setdefault(name, []).append(version)
        return {"value": value} | self._shown(name, version)

    def _updated(self, name: str, version: str | None, body: dict[str, object]) -> object:
        found, tags, attributes = self._found(name, version), body.get("tags"), body.get("attributes") or {}
        found.tags = found.tags if tags is None else _checked(tags)
        assert isinstance(attributes, dict)
        found.enabled = attributes.get("enabled", found.enabled)
        return self._shown(name, found)

    def _shown(self, name: str, version: Version) -> dict[str, object]:
        attributes = {"enabled": version.enabled, "created": 1751328000, "updated": 1751328000}
        shown = {"id": f"https://{self.host}/secrets/{name}/{version.id}", "attributes": attributes}
        content = {"contentType": version.content_type} if version.content_type else {}
        return shown | content | ({"tags": version.tags} if version.tags else {}) | self._certificates(name)

    def _certificates(self, name: str) -> dict[str, object]:
        return {"managed": True, "kid": f"https://{self.host}/keys/{name}/1"} if name in self.managed else {}


def _checked(tags: object) -> dict[str, str]:
    assert isinstance(tags, dict)
    if len(tags) > 15 or any(len(name) > 256 or len(text) > 256 for name, text in tags.items()):
        raise Refusal(400, "BadParameter")
    return tags
