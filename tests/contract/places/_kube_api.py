"""An API server of Kubernetes for tests: as much of one as publishing needs, over TLS, in this process.

It keeps field owners, resource versions, immutability, roles and dry runs as the real one does; no controller runs.
Each request and each answer is held against the OpenAPI document (``_kube_shapes``). The same tests pass on the real
one: name a cluster in ``ROTATOR_TEST_KUBECONFIG`` (see ``_kube_cluster``). Its ways were taken from kube-apiserver
1.20.2, built from Debian's source, in November 2026.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.contract.places._kube_owners import FieldsOwned, Object, Owners, applied, merged, updated
from tests.contract.places._kube_shapes import refuse_misshapen

APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
LARGEST_SECRET = 1 << 20

_KINDS = {
    "namespaces": ("v1", "Namespace"),
    "secrets": ("v1", "Secret"),
    "serviceaccounts": ("v1", "ServiceAccount"),
    "deployments": ("apps/v1", "Deployment"),
    "statefulsets": ("apps/v1", "StatefulSet"),
    "daemonsets": ("apps/v1", "DaemonSet"),
    "roles": ("rbac.authorization.k8s.io/v1", "Role"),
    "rolebindings": ("rbac.authorization.k8s.io/v1", "RoleBinding"),
}
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[a-z0-9.]+))/v1/namespaces"
    r"(?:/(?P<namespace>[^/]+)(?:/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+)(?P<token>/token)?)?)?)?"
)
_ANNOTATION = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?", re.ASCII)
_OPTIONS = {"fieldManager", "force", "dryRun", "fieldValidation", "pretty"}


class Refusal(Exception):
    """What is answered with a ``Status``."""

    def __init__(self, code: int, reason: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.code = code
        told = {"details": details} if details else {}
        self.body = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
            "reason": reason, "code": code, **told,
        }  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A request, taken apart."""

    method: str
    group: str
    namespace: str
    resource: str
    name: str
    token: bool
    options: dict[str, str]
    content_type: str
    body: Any
    user: str

    @property
    def verb(self) -> str:
        return {"POST": "create", "GET": "get", "PATCH": "patch", "DELETE": "delete"}[self.method]

    @property
    def at(self) -> tuple[str, str, str]:
        return self.resource, self.namespace if self.resource != "namespaces" else "", self.name

    @property
    def shown(self) -> str:
        """As the API server writes it in its messages."""
        return f"{self.resource}{self.group and '.' + self.group} {json.dumps(self.name)}"

    @property
    def details(self) -> dict[str, str]:
        return {"name": self.name, "kind": self.resource, **({"group": self.group} if self.group else {})}


@dataclass
class Stored:
    """An object, and who owns what of it."""

    object: Object
    owners: Owners = field(default_factory=list)

    @property
    def shown(self) -> Object:
        shown = deepcopy(self.object)
        if self.owners:
            shown["metadata"]["managedFields"] = [owner.shown() for owner in self.owners]
        return shown


Answered = tuple[int, dict[str, str], bytes]


class KubeApi:
    """The server's state, and what it does with a request."""

    def __init__(self) -> None:
        self.admin_token = token_hex(16)
        self.users = {self.admin_token: "admin"}
        self.stored: dict[tuple[str, str, str], Stored] = {}
        self.requests: list[str] = []
        self.meddle: Callable[[str, str], Answered | None] = lambda method, path: None
        """Called with each request's method and path before it is looked at; what it answers is the answer."""
        self._lock = threading.RLock()
        self._revisions = count(1)

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> Answered:
        """Status, headers and body."""
        self.requests.append(f"{method} {target}")
        if (meddled := self.meddle(method, urlsplit(target).path)) is not None:
            return meddled
        with self._lock:
            try:
                code, answer = self._answered(self._asked(method, target, headers, body))
            except Refusal as refusal:
                code, answer = refusal.code, refusal.body
        refuse_misshapen(answer, _shape(answer["kind"]), "answer")
        return code, {"Content-Type": "application/json"}, json.dumps(answer).encode()

    def _asked(self, method: str, target: str, headers: Any, body: bytes) -> Asked:
        url = urlsplit(target)
        found = _PATH.fullmatch(url.path)
        if found is None:
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        part = found.groupdict(default="")
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        user = self.users.get(token)
        if user is None or scheme.lower() != "bearer":
            raise Refusal(401, "Unauthorized", "Unauthorized")
        content = json.loads(body) if body else None
        options = {name: values[0] for name, values in parse_qs(url.query, strict_parsing=bool(url.query)).items()}
        assert options.keys() <= _OPTIONS, options
        resource = part["resource"] or "namespaces"
        name = (part["name"] if part["resource"] else part["namespace"]) or (content or {})["metadata"]["name"]
        assert _KINDS[resource][0] == f"{part['group']}/v1".lstrip("/"), target
        return Asked(
            method, part["group"], part["namespace"], resource, name, bool(part["token"]), options,
            headers.get("Content-Type", ""), content, user,
        )  # fmt: skip

    def _answered(self, asked: Asked) -> tuple[int, Object]:
        if not self._may(asked, asked.verb):
            raise Refusal(
                403, "Forbidden",
                f'{asked.shown} is forbidden: User "{asked.user}" cannot {asked.verb} resource "{asked.resource}" in'
                f' API group "{asked.group}" in the namespace "{asked.namespace}"',
                **asked.details,
            )  # fmt: skip
        if asked.method == "POST" and asked.token:
            return 201, self._token(asked)
        if asked.method == "POST":
            return 201, self._created(asked, asked.body, updated({}, [], asked.body, _manager(asked)))
        if asked.method == "PATCH":
            return self._patched(asked)
        stored = self._there(asked)
        if asked.method == "DELETE":
            del self.stored[asked.at]
        return 200, stored.shown

    def _may(self, asked: Asked, verb: str) -> bool:
        """Role-based access control: what the bindings of the namespace allow."""
        if asked.user == "admin":
            return True
        bindings = [
            s.object for (kind, ns, _), s in self.stored.items() if (kind, ns) == ("rolebindings", asked.namespace)
        ]
        names = [b["roleRef"]["name"] for b in bindings if asked.user in map(_account, b["subjects"])]
        roles = [self.stored["roles", asked.namespace, name].object for name in names]
        return any(
            asked.group in rule["apiGroups"]
            and asked.resource in rule["resources"]
            and verb in rule["verbs"]
            and asked.name in rule.get("resourceNames", [asked.name])
            for role in roles
            for rule in role["rules"]
        )

    def _token(self, asked: Asked) -> Object:
        refuse_misshapen(asked.body, "AuthenticationV1TokenRequest", "request")
        token = token_hex(16)
        self.users[token] = _account({"name": asked.name, "namespace": asked.namespace})
        soon = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {**asked.body, "status": {"token": token, "expirationTimestamp": soon}}

    def _there(self, asked: Asked) -> Stored:
        if asked.at not in self.stored:
            raise Refusal(404, "NotFound", f"{asked.shown} not found", **asked.details)
        return self.stored[asked.at]

    def _created(self, asked: Asked, wanted: Object, owners: Owners) -> Object:
        if asked.resource != "namespaces" and ("namespaces", "", asked.namespace) not in self.stored:
            missing = {"name": asked.namespace, "kind": "namespaces"}
            raise Refusal(404, "NotFound", f'namespaces "{asked.namespace}" not found', **missing)
        if asked.at in self.stored:
            raise Refusal(409, "AlreadyExists", f"{asked.shown} already exists", **asked.details)
        made = deepcopy(wanted)
        made["metadata"] |= {"name": asked.name, "uid": str(uuid4()), "creationTimestamp": _now()}
        if asked.resource != "namespaces":
            made["metadata"]["namespace"] = asked.namespace
        if asked.resource == "secrets":
            made.setdefault("type", "Opaque")
        return self._kept(asked, made, owners)

    def _patched(self, asked: Asked) -> tuple[int, Object]:
        applying = asked.content_type == APPLY
        if not applying and asked.content_type != MERGE:
            raise Refusal(415, "UnsupportedMediaType", "415: Unsupported Media Type")
        if applying and not asked.options.get("fieldManager"):
            raise Refusal(422, "Invalid", "fieldManager: Required value: is required for apply patch")
        if not applying and "force" in asked.options:
            raise Refusal(422, "Invalid", "force: Forbidden: may not be specified for non-apply patch")
        if applying and asked.at not in self.stored:
            if not self._may(asked, "create"):
                raise Refusal(403, "Forbidden", f"{asked.shown} is forbidden: ", **asked.details)
            made, owners = self._after_apply(asked, {"apiVersion": asked.body["apiVersion"]}, [])
            return 201, self._created(asked, made, owners)
        stored = self._there(asked)
        expected = asked.body.get("metadata", {}).get("resourceVersion")
        if expected not in {None, stored.object["metadata"]["resourceVersion"]}:
            raise Refusal(
                409, "Conflict", f"Operation cannot be fulfilled on {asked.shown}: the object has been modified; please"
                " apply your changes to the latest version and try again", **asked.details,
            )  # fmt: skip
        if applying:
            return 200, self._kept(asked, *self._after_apply(asked, stored.object, stored.owners))
        after = merged(stored.object, asked.body)
        return 200, self._kept(asked, after, updated(stored.object, stored.owners, after, _manager(asked)))

    def _after_apply(self, asked: Asked, live: Object, owners: Owners) -> tuple[Object, Owners]:
        assert asked.resource == "secrets", "lists of a Deployment have keys, which this server does not know"
        wanted = {**live, **{name: asked.body[name] for name in ("apiVersion", "kind")}}
        wanted.setdefault("metadata", {})
        force = asked.options.get("force") == "true"
        try:
            return applied(wanted, owners, asked.body, asked.options["fieldManager"], force=force)
        except FieldsOwned as owned:
            causes = [
                {"reason": "FieldManagerConflict", "message": f'conflict with "{who}" using v1', "field": f".{at}"}
                for who, at in ((manager, ".".join(path)) for manager, path in owned.conflicts)
            ]
        told = "; ".join(cause["message"] for cause in causes)
        raise Refusal(409, "Conflict", f"Apply failed with {len(causes)} conflict: {told}", causes=causes)

    def _kept(self, asked: Asked, after: Object, owners: Owners) -> Object:
        """Store it, unless nothing changed or this is a dry run."""
        after = _tidy(after)
        before = self.stored.get(asked.at)
        refuse_misshapen(asked.body, _shape(_KINDS[asked.resource][1]), "request")
        _refuse_invalid(asked, before.object if before else None, after)
        if asked.resource.endswith("sets") or asked.resource == "deployments":
            after = _counted(before.object if before else {}, after)
        kept = Stored(after, owners)
        if before and (before.object, before.owners) == (after, owners):
            return before.shown
        if asked.options.get("dryRun", "All") != "All":
            raise Refusal(422, "Invalid", "dryRun: Unsupported value")
        if "dryRun" not in asked.options:
            after["metadata"] = {**after["metadata"], "resourceVersion": str(next(self._revisions))}
            self.stored[asked.at] = kept
        return kept.shown


def _tidy(after: Object) -> Object:
    """Without the maps that are empty: an object is stored without them."""
    metadata = {name: value for name, value in after["metadata"].items() if value != {}}
    return {**{name: value for name, value in after.items() if value != {}}, "metadata": metadata}


def _counted(before: Object, after: Object) -> Object:
    """With the number that a workload gets for each new spec."""
    number = before.get("metadata", {}).get("generation", 0) + (before.get("spec") != after["spec"])
    return {**after, "metadata": {**after["metadata"], "generation": number}}


def _refuse_invalid(asked: Asked, before: Object | None, after: Object) -> None:
    data = after.get("data") or {}
    fault = ""
    if not all(map(_ANNOTATION.fullmatch, after["metadata"].get("annotations") or {})):
        fault = "metadata.annotations: Invalid value"
    elif asked.resource == "secrets" and not all(re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key) for key in data):
        fault = "data: Invalid value"
    elif asked.resource == "secrets" and sum(map(len, data.values())) * 3 // 4 > LARGEST_SECRET:
        fault = f"data: Too long: must have at most {LARGEST_SECRET} bytes"
    elif before and before.get("immutable") and before.get("data") != after.get("data"):
        fault = "data: Forbidden: field is immutable when `immutable` is set"
    if fault:
        raise Refusal(422, "Invalid", f"{_KINDS[asked.resource][1]} {json.dumps(asked.name)} is invalid: {fault}")


def _manager(asked: Asked) -> str:
    return asked.options.get("fieldManager", "somebody")


def _account(subject: Object) -> str:
    return f"system:serviceaccount:{subject['namespace']}:{subject['name']}"


def _shape(kind: str) -> str:
    return "AuthenticationV1TokenRequest" if kind == "TokenRequest" else f"V1{kind}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    api: KubeApi

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        code, headers, content = self.api.answer(self.command, self.path, self.headers, body)
        self.send_response(code)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the names that http.server looks for

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no fault of the server's; a fault of its own closes the connection, which the
        client sees."""


@dataclass(frozen=True)
class Running:
    """Where the server listens, and what its certificate is checked against."""

    api: KubeApi
    url: str
    ca_file: Path


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    """The server, on a free port of the loopback interface."""
    certificate, key = _certificate(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    api = KubeApi()
    with _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": api})) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Running(api, f"https://127.0.0.1:{server.server_address[1]}", certificate)
        finally:
            server.shutdown()
            thread.join()


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kube")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "kube.crt", folder / "kube.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths
