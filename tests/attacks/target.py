"""What is attacked: a running server with secrets planted in it, and a hunt through what it says, logs and stores."""

from __future__ import annotations

import logging
import re
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch
from urllib.parse import urlsplit

import httpx
from fastapi.routing import APIRoute

from config.logging import configure_logging
from config.settings import Settings
from tasks.operations.requests import EventsRequest
from tasks.publishers._places.files import disk
from tests.leaks.hunt import Hunt
from tests.web.served import Served, served
from worker.web.access import limits
from worker.web.app import make_web

PATIENCE_S: Final = 20.0
UNLIMITED: Final = {"WEB_REQUESTS_PER_MINUTE": "1000000"}
"""Limits have tests of their own; here they would only stop the attacks too early."""
ROLES: Final = ("viewer", "operator", "admin", "consumer")
_CSRF: Final = re.compile(r'name="csrf" value="([0-9a-f]+)"')
_BLANK: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
_TLS: Final = httpx.create_ssl_context()
"""Made once: to read the world's certificates for each request would take longest of all."""
_OPENED: Final = disk.opened
_FOLDERS: Final[set[Path]] = set()
_SAME_ORIGIN: Final = {"Sec-Fetch-Site": "same-origin"}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came over the wire."""

    status: int
    """0 when the connection was closed without one."""
    headers: Mapping[str, str]
    body: bytes
    raw: bytes


@dataclass
class Target:
    """A server with a rotation in it, and what must never leave it."""

    web: Served
    log: Path
    tokens: dict[str, str]
    hunts: list[Hunt]
    sent: Counter[str] = field(default_factory=Counter)
    """Requests by what they tried."""

    def header(self, role: str | None) -> dict[str, str]:
        """What a holder of this role's token sends along."""
        return {} if role is None else {"Authorization": f"Bearer {self.tokens[role]}"}

    def ask(
        self, attack: str, method: str, path: str, *, role: str | None = None, may_hold_key: bool = False, **more: Any
    ) -> httpx.Response:
        """Send one request of an attack; whatever comes is searched, and is no fault of the server's."""
        headers = {**self.header(role), **more.pop("headers", {})}
        with httpx.Client(base_url=self.web.url, timeout=PATIENCE_S, verify=_TLS) as client:
            return self.looked_at(attack, client.request(method, path, headers=headers, **more), may_hold_key)

    def looked_at(self, attack: str, response: httpx.Response, may_hold_key: bool = False) -> httpx.Response:
        """Count and search an answer."""
        self.sent[attack] += 1
        place = f"{response.request.method} {response.request.url.path} {response.status_code}"
        self.look(f"headers of {place}", repr(response.headers.multi_items()))
        if not may_hold_key:
            self.look(place, response.content)
        assert response.status_code < 500 or response.status_code == 503, f"{place}: {response.text[:500]}"
        return response

    def raw(self, attack: str, request: bytes, *, quiet_s: float = 0.5) -> Reply:
        """Send bytes as they are, and read until the server closes or falls silent."""
        self.sent[attack] += 1
        reply = exchange(self.web.url, request, quiet_s=quiet_s)
        self.look(f"raw answer to {attack}", reply.raw)
        assert reply.status < 500, (attack, request[:300], reply.raw[:500])
        return reply

    def refill(self) -> None:
        """Whatever an attack with rights has deleted is there again."""
        operations = self.web.operations
        if not any(c.name == "prod" for c in operations.list_connections()):
            self.web.connect()
        for name in {"web", "other"} - {r.name for r in operations.list_rotations()}:
            self.web.rotation(name)

    def routes(self) -> list[APIRoute]:
        """Every route that is served."""
        return [route for route in make_web(self.web.rotator).state.addresses if isinstance(route, APIRoute)]

    def api_paths(self, method: str) -> list[str]:
        """Every address of the APIs that takes this method and asks for a token, its blanks filled in."""
        document = self.ask("reading the documents", "GET", "/openapi.json").json()
        ids = {"connectionId": self.web.operations.show_connection("prod").id}
        ids["rotationId"] = self.web.operations.show_rotation("web").id
        ids |= {"connectionName": "prod", "rotationName": "web", "number": "1", "version": "1"}
        return [
            _BLANK.sub(lambda blank, path=path: ids.get(blank[1], _named(path)), path)  # type: ignore[misc]  # a default
            for path, operations in document["paths"].items()
            if "security" in operations.get(method, {})
        ]

    def browser(self, role: str = "admin") -> Browser:
        """Somebody who has signed in."""
        return Browser(self, role)

    def search_what_is_left(self, *, spared: tuple[Path, ...] = ()) -> None:
        """Search the log and every file of the installation. Destinations hold keys: they are ``spared``."""
        self.look("log", self.log.read_bytes())
        destinations = tuple(self.web.folder.rglob("*.env"))
        for hunt in self.hunts:
            hunt.look_in_files("installation", self.web.folder, except_=(*spared, *destinations))

    @property
    def findings(self) -> list[str]:
        """Where a secret was found."""
        return [finding for hunt in self.hunts for finding in hunt.findings]

    def look(self, place: str, content: bytes | str) -> None:
        """Search something."""
        for hunt in self.hunts:
            hunt.look(place, content)

    def hunt_also(self, *canaries: str) -> None:
        """Search for these too, from now on."""
        self.hunts.append(Hunt(*canaries))

    def state(self) -> tuple[object, ...]:
        """What an intruder could have changed: connections, rotations, tokens, keys at OpenRouter, the audit log."""
        operations = self.web.operations
        return (
            operations.list_connections(),
            operations.list_rotations(),
            tuple((t.name, t.role) for t in operations.list_tokens()),
            self.web.account.minted,
            operations.find_events(EventsRequest(limit=1, newest_first=True)),
        )


def _named(path: str) -> str:
    return "prod" if "connections/" in path else "web"


class Browser:
    """A signed-in visitor, as a browser sends it."""

    def __init__(self, target: Target, role: str) -> None:
        self.target, self.role = target, role
        self.client = target.web.clients.enter_context(httpx.Client(base_url=target.web.url, timeout=PATIENCE_S))
        made = self.client.post("/sign-in", data={"token": target.tokens[role]}, headers=_SAME_ORIGIN)
        assert made.status_code == httpx.codes.SEE_OTHER, made.text
        self.signed_in = made
        (self.cookie,) = self.client.cookies.values()
        target.hunt_also(self.cookie)
        self.csrf = self._csrf()

    def get(self, attack: str, path: str, **more: Any) -> httpx.Response:
        """A page."""
        headers = {"Accept": "text/html", **more.pop("headers", {})}
        return self.target.looked_at(attack, self.client.get(path, headers=headers, **more))

    def post(self, attack: str, path: str, form: Mapping[str, str] | None = None, **more: Any) -> httpx.Response:
        """A form of this session, sent from its own page; ``headers`` and ``csrf`` may say otherwise."""
        headers = {"Accept": "text/html", **_SAME_ORIGIN, **more.pop("headers", {})}
        may_hold_key = more.pop("may_hold_key", False)
        fields = {"csrf": more.pop("csrf", self.csrf), **(form or {})}
        sent = self.client.post(path, data=fields, headers=headers, **more)
        return self.target.looked_at(attack, sent, may_hold_key)

    def _csrf(self) -> str:
        found = _CSRF.search(self.client.get("/", headers={"Accept": "text/html"}).text)
        assert found is not None
        return found[1]


@contextmanager
def attacked(folder: Path, *, guesses_a_minute: int = 1_000_000, **settings: str) -> Iterator[Target]:
    """A server with one connection and the rotations ``web`` and ``other``; the consumer's token is for ``web``."""
    chosen = {**UNLIMITED, "LOG_LEVEL": "debug", "LOG_FORMAT": "json", **settings}
    log = folder.with_name(f"{folder.name}.log")
    patient = patch.object(limits, "FAILURES_PER_MINUTE", guesses_a_minute)
    with patient, served(folder, **chosen) as web, _logged(web.settings, log), _confined(folder):
        web.connect()
        for name in ("web", "other"):
            web.rotation(name)
        tokens = {role: web.token(role, *(["web"] if role == "consumer" else [])) for role in ROLES}
        hunt = Hunt(web.canary, *(secret_part(token) for token in tokens.values()))
        yield Target(web, log, tokens, [hunt])


def secret_part(token: str) -> str:
    """The part of a token that nobody may see."""
    return token.split("_", 2)[2]


def wrong_token(token: str) -> str:
    """One that differs in its last character but one: the last may hold bits that do not count."""
    return f"{token[:-2]}{'A' if token[-2] != 'A' else 'B'}{token[-1]}"


@contextmanager
def _logged(settings: Settings, log: Path) -> Iterator[None]:
    """Write down all that the server says, at debug."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    with log.open("w", encoding="utf-8") as stream:
        configure_logging(settings, stream)
        try:
            yield
        finally:
            root.handlers[:] = before
            root.setLevel(level)


@contextmanager
def _confined(folder: Path) -> Iterator[None]:
    """Let nothing be published outside ``folder``, whatever is made up as a destination."""

    def opened_inside(path: Path) -> Any:
        if not any(path.resolve().is_relative_to(attacked_) for attacked_ in _FOLDERS):
            raise PermissionError(13, "this test publishes nowhere else")
        return _OPENED(path)

    _FOLDERS.add(folder.resolve())
    with patch.object(disk, "opened", opened_inside):
        yield


def exchange(url: str, request: bytes, *, quiet_s: float = 0.5) -> Reply:
    """Send bytes, and read until the server closes or falls silent."""
    address = urlsplit(url)
    with socket.create_connection((str(address.hostname), address.port or 80), PATIENCE_S) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):  # it may refuse before it has read all
            connection.sendall(request)
        raw = b"".join(_pieces(connection, quiet_s))
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Reply(int(first.split(" ")[1]) if first.startswith("HTTP/1.1 ") else 0, headers, body, raw)


def _pieces(connection: socket.socket, quiet_s: float) -> Iterator[bytes]:
    with suppress(TimeoutError, ConnectionResetError):
        while piece := connection.recv(1 << 16):
            yield piece
            connection.settimeout(quiet_s)
