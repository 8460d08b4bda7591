"""A receiver on loopback, as its owner would write one with the library of Standard Webhooks."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_bytes
from typing import Any
from urllib.parse import quote

from standardwebhooks import Webhook, WebhookVerificationError

from config.secret import Secret
from tests.contract.places.place import NAME, Place, Surroundings


def signing_secret() -> str:
    """A new one."""
    return f"whsec_{base64.b64encode(token_bytes(24)).decode()}"


@dataclass
class Receiver:
    """Keeps what it is told, by the secret's name, and refuses what comes too late."""

    secret: str
    held: dict[str, dict[str, Any]] = field(default_factory=dict)
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Every one that was signed rightly, with its id."""
    requests: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    answers_instead: tuple[int, Mapping[str, str], bytes] | None = None
    """A receiver that is not well."""

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        self.requests.append((path, headers, body))
        if self.answers_instead is not None:
            return self.answers_instead
        try:
            message = Webhook(self.secret).verify(body, dict(headers))
        except WebhookVerificationError:
            return 401, {}, body
        self.messages.append((headers["webhook-id"], message))
        return self._taken(message), {}, b""

    def _taken(self, message: dict[str, Any]) -> int:
        told, known = message["data"], self.held.get(message["data"]["secret_name"], {})
        same = known.get("rotation_id") == told.get("rotation_id")
        match message["type"]:
            case "rotation.version_published" | "rotation.version_withdrawn" if (
                same and known["sequence"] > told["sequence"]
            ):
                return 409
            case "rotation.version_published":
                self.held[told["secret_name"]] = told
            case "rotation.version_withdrawn" if same:
                del self.held[told["secret_name"]]
        return 204


@contextmanager
def listening(receiver: Receiver) -> Iterator[str]:
    """The receiver's address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, body = receiver.answer(self.path, headers, self.rfile.read(int(headers["content-length"])))
            if not status:
                return  # the connection ends without an answer
            self.send_response_only(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/rotated"
        finally:
            server.shutdown()
            thread.join()


def place(around: Surroundings) -> Iterator[Place]:
    """It is told which version there is, and gets no value."""
    receiver = Receiver(signing_secret())
    with listening(receiver) as url:
        yield Place(
            **_alike(receiver),
            target=Secret(f"{url}?secret={quote(receiver.secret, safe='')}"),
            application_reads=lambda: _version(receiver.held.get(NAME)),
            overwrite=lambda value: receiver.held[NAME].update(rotation="somebody else's"),
            as_read=lambda publication: f"{publication.rotation_name} {publication.version}",
        )


def place_value(around: Surroundings) -> Iterator[Place]:
    """It gets the value."""
    receiver = Receiver(signing_secret())
    file = around.folder / "secret"
    file.write_text(f"{receiver.secret}\n")
    with listening(receiver) as url:
        yield Place(
            **_alike(receiver),
            target=Secret(f"{url}?value=include&secret_file={file}"),
            application_reads=lambda: receiver.held.get(NAME, {}).get("value"),
            overwrite=lambda value: receiver.held[NAME].update(value=value),
        )


def _version(told: dict[str, Any] | None) -> str | None:
    return f"{told['rotation']} {told['version']}" if told else None


def _alike(receiver: Receiver) -> dict[str, Any]:
    def spoil() -> None:
        receiver.answers_instead = (500, {}, f"{receiver.secret} {receiver.requests}".encode())

    return {
        "kind": "webhook",
        "credential": receiver.secret,
        "snapshot": lambda: json.dumps(receiver.held),
        "spoil": spoil,
        "empty": receiver.held.clear,
        "stamped": lambda: str(receiver.held[NAME]["version"]),
        "shows_values": False,
        "tells_strangers": False,
        "spares_others": False,
        "tells_drift": False,
    }
