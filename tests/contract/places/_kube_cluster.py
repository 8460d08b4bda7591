"""A cluster as its administrator sees it: the server of ``_kube_api``, or a real one.

``ROTATOR_TEST_KUBECONFIG`` names a kubeconfig whose current context is an administrator with a token; every test
then runs in a namespace of its own there, which is deleted again.
"""

from __future__ import annotations

import os
import ssl
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import yaml

from tests.contract.places._kube_api import MERGE, KubeApi, running

RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class Cluster:
    """How to reach it as its administrator."""

    url: str
    ca: str
    client: httpx.Client
    api: KubeApi | None
    """The test server's own, None for a real cluster."""

    def ask(self, method: str, path: str, body: object = None, **options: str) -> Any:
        """The answer, which must not be a refusal."""
        answer = self.client.request(
            method, path, json=body, params=options, headers={"Content-Type": MERGE} if method == "PATCH" else {}
        )
        answer.raise_for_status()
        return answer.json()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """The one to test with."""
    given = os.environ.get("ROTATOR_TEST_KUBECONFIG")
    if given:
        yield from _real(yaml.safe_load(Path(given).read_text()))
        return
    with TemporaryDirectory() as folder, running(Path(folder)) as server:
        yield from _reached(server.url, server.ca_file.read_text(), server.api.admin_token, server.api)


def _real(kubeconfig: Any) -> Iterator[Cluster]:
    told, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    ca = b64decode(told["certificate-authority-data"]).decode()
    yield from _reached(told["server"], ca, user["token"], None)


def _reached(url: str, ca: str, token: str, api: KubeApi | None) -> Iterator[Cluster]:
    trust = ssl.create_default_context(cadata=ca)
    with httpx.Client(base_url=url, verify=trust, headers={"Authorization": f"Bearer {token}"}) as client:
        yield Cluster(url, ca, client, api)


@dataclass(frozen=True)
class Namespace:
    """A namespace of a test's own, with what its owner does there."""

    cluster: Cluster
    name: str

    def path(self, resource: str, name: str = "") -> str:
        """Where an object is, or where objects of a sort are made."""
        groups = {"secrets": "", "serviceaccounts": "", "roles": RBAC, "rolebindings": RBAC}
        group = groups.get(resource, "apps")
        return f"/{f'apis/{group}' if group else 'api'}/v1/namespaces/{self.name}/{resource}" + (name and f"/{name}")

    def make(self, resource: str, kind: str, name: str, **fields: object) -> Any:
        """Make an object, as ``kubectl create`` does."""
        version = self.path(resource).removeprefix("/apis/").removeprefix("/api/").partition("/namespaces")[0]
        body = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}
        return self.cluster.ask("POST", self.path(resource), body, fieldManager="kubectl-create")

    def secret(self, name: str) -> Any:
        """The Secret, whole; None for none."""
        answer = self.cluster.client.get(self.path("secrets", name))
        return answer.json() if answer.is_success else None

    def value(self, secret: str, key: str) -> str | None:
        """What an application gets."""
        found = self.secret(secret)
        value = (found.get("data") or {}).get(key) if found else None
        return None if value is None else b64decode(value).decode()

    def edit(self, secret: str, values: dict[str, str | None], **fields: object) -> Any:
        """Set or remove keys, as ``kubectl edit`` does."""
        data = {key: None if value is None else encoded(value) for key, value in values.items()}
        body = {**({"data": data} if data else {}), **fields}
        return self.cluster.ask("PATCH", self.path("secrets", secret), body, fieldManager="kubectl-edit")

    def workload(self, resource: str, kind: str, name: str) -> Any:
        """Make a workload that no controller has to run."""
        labels = {"app": name}
        pods = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "app"}]}}
        spec = {"selector": {"matchLabels": labels}, "template": pods}
        return self.make(resource, kind, name, spec=spec if kind == "Deployment" else {**spec, "serviceName": name})

    def pods_annotations(self, resource: str, name: str) -> dict[str, str]:
        """Of a workload's template: when they change, its pods are replaced."""
        found = self.cluster.ask("GET", self.path(resource, name))
        return dict(found["spec"]["template"]["metadata"].get("annotations") or {})

    def account(self, rules: Sequence[object], name: str = "rotator") -> str:
        """The token of a new service account with these rights."""
        self.make("serviceaccounts", "ServiceAccount", name)
        self.make("roles", "Role", name, rules=rules)
        subject = {"kind": "ServiceAccount", "name": name, "namespace": self.name}
        role = {"apiGroup": RBAC, "kind": "Role", "name": name}
        self.make("rolebindings", "RoleBinding", name, roleRef=role, subjects=[subject])
        request = {
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {}, "spec": {"audiences": []},
        }  # fmt: skip
        path = self.path("serviceaccounts", name) + "/token"
        return str(self.cluster.ask("POST", path, request)["status"]["token"])

    def revoke(self, name: str) -> Any:
        """Take an account's rights away."""
        return self.cluster.ask("DELETE", self.path("rolebindings", name))

    def kubeconfig(self, file: Path, token: str, **user: object) -> Path:
        """A kubeconfig of whoever has the token."""
        trusted = encoded(self.cluster.ca)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "rotator"}}],
            "clusters": [
                {"name": "here", "cluster": {"server": self.cluster.url, "certificate-authority-data": trusted}}
            ],
            "users": [{"name": "rotator", "user": user or {"token": token}}],
        }
        file.write_text(yaml.safe_dump(config))
        return file


@contextmanager
def namespace(where: Cluster) -> Iterator[Namespace]:
    """A new one."""
    name = f"rotator-test-{token_hex(4)}"
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    where.ask("POST", "/api/v1/namespaces", made)
    try:
        yield Namespace(where, name)
    finally:
        where.ask("DELETE", f"/api/v1/namespaces/{name}")


def encoded(text: str) -> str:
    """In base64, as Secrets are written."""
    return b64encode(text.encode()).decode()
