"""Secret Manager as its public REST contract describes it: discovery document, etags, states of versions, IAM.

Written from the documentation, without the client: https://cloud.google.com/secret-manager/docs/reference/rest,
and .../docs/etags for the conditions (July 2025). Its answers are read by Google's own client, which knows every field.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_hex

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.contract.places._cloud import Answer, Asked

PERMISSIONS = {
    "secretmanager.secrets.get",
    "secretmanager.secrets.update",
    "secretmanager.versions.access",
    "secretmanager.versions.add",
    "secretmanager.versions.get",
    "secretmanager.versions.destroy",
    "secretmanager.versions.disable",
}
_STATES = {"ENABLED": 1, "DISABLED": 2, "DESTROYED": 3}
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_PATH = re.compile(
    r"/v1/(?P<secret>projects/[^/]+(/locations/[^/]+)?/secrets/[^/:]+)(/versions/(?P<version>[^/:]+))?(:(?P<verb>\w+))?"
)


@dataclass
class Version:
    state: str
    data: bytes


@dataclass
class Secret:
    annotations: dict[str, str] = field(default_factory=lambda: {"team": "billing"})
    labels: dict[str, str] = field(default_factory=lambda: {"env": "test"})
    etag: str = '"1"'
    versions: list[Version] = field(default_factory=list)
    lag: int = 0
    """By how many versions ``latest`` is behind: only what is asked for by its number is consistent."""


class Refusal(Exception):
    """An error as Google's APIs answer it."""

    def __init__(self, code: int, status: str, message: str, reason: str = "") -> None:
        details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
        self.answer = Answer(code, {"error": {"code": code, "message": message, "status": status, "details": details}})


def _precondition(message: str) -> Refusal:
    return Refusal(400, "FAILED_PRECONDITION", message)


class ServiceAccount:
    """A service account with a key, as Google's console gives it out."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 1024)  # quick to load; nobody relies on it
        self.email = f"test-{token_hex(4)}@test-project.iam.gserviceaccount.com"
        self.pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def file(self) -> str:
        """The JSON that somebody downloads."""
        return json.dumps(
            {
                "type": "service_account",
                "project_id": "test-project",
                "private_key_id": "1",
                "private_key": self.pem,
                "client_email": self.email,
                "token_uri": "https://oauth2.googleapis.com/token",
            }
        )

    def signed(self, token: str) -> bool:
        """Whether it is a self-signed token for the cloud platform, valid now."""
        head, _, signature = token.rpartition(".")
        try:
            self.key.public_key().verify(_decoded(signature), head.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            return False
        claims = json.loads(_decoded(head.partition(".")[2]))
        allowed = claims["scope"] == _SCOPE and claims["iss"] == claims["sub"] == self.email
        return bool(allowed and claims["iat"] <= time.time() + 60 and claims["exp"] > time.time())


class SecretManager:
    """One project's secrets, and who may do what."""

    def __init__(self, accepts: Callable[[str], bool]) -> None:
        self.accepts = accepts
        self.granted = set(PERMISSIONS)
        self.secrets: dict[str, Secret] = {}

    def __call__(self, asked: Asked) -> Answer:
        if not self.accepts(asked.headers.get("authorization", "").removeprefix("Bearer ")):
            return Refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.").answer
        found = _PATH.fullmatch(asked.path)
        if found is None:
            return Answer(404, b"<html>404</html>")
        name, version, verb = found["secret"], found["version"], found["verb"] or ""
        try:
            return Answer(200, self._done(asked, name, version, verb))
        except Refusal as refusal:
            return refusal.answer

    def disabled(self, version: Version) -> Version:
        """Somebody makes a version unreadable, in the console."""
        version.state = "DISABLED"
        return version

    def _done(self, asked: Asked, name: str, version: str | None, verb: str) -> object:  # noqa: PLR0911 - one line a method of the API
        match asked.method, version, verb:
            case "POST", None, "testIamPermissions":
                wanted = asked.json()["permissions"]
                assert isinstance(wanted, list)
                return {"permissions": [p for p in wanted if p in self.granted and name in self.secrets]}
            case "GET", None, "":
                return self._shown(name, self._secret(name, "secrets.get"))
            case "PATCH", None, "":
                return self._patched(asked, name, self._secret(name, "secrets.update"))
            case "POST", None, "addVersion":
                return self._added(asked, name, self._secret(name, "versions.add"))
            case "GET", str(), "access":
                return self._accessed(name, self._secret(name, "versions.access"), version)
            case "GET", str(), "":
                number, found = self._version(name, self._secret(name, "versions.get"), version)
                return _described(name, number, found)
            case "POST", str(), ("destroy" | "disable"):
                number, found = self._version(name, self._secret(name, f"versions.{verb}"), version)
                return _ended(name, number, found, verb)
        raise Refusal(404, "NOT_FOUND", "Method not found.")

    def _secret(self, name: str, right: str) -> Secret:
        permission = f"secretmanager.{right}"
        if permission not in self.granted:
            message = f"Permission '{permission}' denied for resource '{name}' (or it may not exist)."
            raise Refusal(403, "PERMISSION_DENIED", message, "IAM_PERMISSION_DENIED")
        if name not in self.secrets:
            raise Refusal(404, "NOT_FOUND", f"Secret [{name}] not found.")
        return self.secrets[name]

    def _version(self, name: str, secret: Secret, wanted: str) -> tuple[int, Version]:
        number = len(secret.versions) - secret.lag if wanted == "latest" else int(wanted)
        if not 1 <= number <= len(secret.versions):
            raise Refusal(404, "NOT_FOUND", f"Secret [{name}] not found or has no versions.")
        return number, secret.versions[number - 1]

    def _shown(self, name: str, secret: Secret) -> object:
        shown = {"name": _numbered(name), "createTime": "2025-07-01T00:00:00.000001Z", "replication": {"automatic": {}}}
        return shown | {"labels": secret.labels, "annotations": secret.annotations, "etag": secret.etag}

    def _patched(self, asked: Asked, name: str, secret: Secret) -> object:
        body = asked.json()
        if body.get("etag", secret.etag) != secret.etag:
            raise _precondition(f"Etag {body['etag']} does not match the current one.")
        assert asked.query["updateMask"] == "annotations"
        annotations = body.get("annotations", {})
        assert isinstance(annotations, dict)
        for key in annotations:
            if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", key):
                raise Refusal(400, "INVALID_ARGUMENT", "The annotation's key is invalid.")
        secret.annotations = annotations
        secret.etag = f'"{int(secret.etag.strip(chr(34))) + 1}"'
        return self._shown(name, secret)

    def _added(self, asked: Asked, name: str, secret: Secret) -> object:
        payload = asked.json()["payload"]
        assert isinstance(payload, dict)
        data = base64.b64decode(payload["data"], validate=True)
        if "dataCrc32c" in payload and int(payload["dataCrc32c"]) != checksum(data):
            raise Refusal(400, "INVALID_ARGUMENT", "The checksum does not match the data.")
        secret.versions.append(Version("ENABLED", data))
        described = _described(name, len(secret.versions), secret.versions[-1])
        return described | {"clientSpecifiedPayloadChecksum": "dataCrc32c" in payload}

    def _accessed(self, name: str, secret: Secret, wanted: str) -> object:
        number, version = self._version(name, secret, wanted)
        if version.state != "ENABLED":
            raise _precondition(f"Secret Version [{name}/versions/{number}] is in {version.state} state.")
        payload = {"data": base64.b64encode(version.data).decode(), "dataCrc32c": str(checksum(version.data))}
        return {"name": f"{_numbered(name)}/versions/{number}", "payload": payload}


def _described(name: str, number: int, version: Version) -> dict[str, object]:
    """States are numbers, as the client asks for them with ``$alt``."""
    return {"name": f"{_numbered(name)}/versions/{number}", "state": _STATES[version.state], "etag": '"1"'}


def _ended(name: str, number: int, version: Version, verb: str) -> object:
    if version.state == "DESTROYED":
        raise _precondition("The version is in DESTROYED state.")
    version.state = "DESTROYED" if verb == "destroy" else "DISABLED"
    if verb == "destroy":
        version.data = b""
    return _described(name, number, version)


def _numbered(name: str) -> str:
    """Google answers with the project's number, whatever it was asked for."""
    return re.sub(r"^projects/[^/]+", "projects/123456789012", name)


def checksum(data: bytes) -> int:
    """CRC-32C, bit by bit."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
