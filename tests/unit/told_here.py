"""Services that people are told by, on loopback: one that takes JSON by HTTP, and one that takes mail by SMTP."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What was taken, and what is answered from now on."""

    port: int = 0
    status: int = 200
    answer: bytes = b"{}"
    location: str = ""
    dribble_s: float = 0.0
    """Pause before each byte of the answer."""
    taken: list[dict[str, Any]] = field(default_factory=list)
    credentials: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def titles(self) -> list[str]:
        """The titles of what was taken."""
        return [one["title"] for one in self.taken]


@contextmanager
def http_receiver() -> Iterator[Receiver]:
    """What ``json://127.0.0.1:PORT`` tells."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.credentials.append(self.headers.get("Authorization", ""))
            if 200 <= receiver.status < 300 and not receiver.dribble_s:
                receiver.taken.append(json.loads(body))
            self.send_response(receiver.status)
            if receiver.location:
                self.send_header("Location", receiver.location)
            self.send_header("Content-Length", str(len(receiver.answer)))
            self.end_headers()
            for byte in receiver.answer:
                if receiver.closing.wait(receiver.dribble_s):
                    return
                self.wfile.write(bytes([byte]))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield receiver
        receiver.closing.set()
        server.shutdown()
        thread.join(10)


@dataclass
class Mailbox:
    """Mail that was taken, whole; and the answers that are given instead of taking it."""

    port: int = 0
    instead_of_taking: str = ""
    taken_by: str = "no such receiver"
    """Whoever has this in the address takes it in any case."""
    instead_of_letting_in: str = ""
    logins: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)


@contextmanager
def smtp_receiver() -> Iterator[Mailbox]:
    """A mail server that lets everybody in and takes everything, unless it is told otherwise."""
    mailbox = Mailbox()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 mail.test")
            for line in self.rfile:
                command, _, rest = line.decode().strip().partition(" ")
                if not self._answer(command.upper(), rest):
                    return

        def _answer(self, command: str, rest: str) -> bool:
            match command:
                case "EHLO":
                    self._say("250-mail.test", "250 AUTH PLAIN")
                case "AUTH":
                    mailbox.logins.append(rest)
                    self._say(mailbox.instead_of_letting_in or "235 come in")
                case "RCPT":
                    self._say("250 ok" if mailbox.taken_by in rest else mailbox.instead_of_taking or "250 ok")
                case "DATA":
                    self._say("354 go on")
                    mailbox.taken.append(self._mail())
                    self._say("250 taken")
                case "QUIT":
                    self._say("221 bye")
                    return False
                case _:
                    self._say("250 ok")
            return True

        def _mail(self) -> str:
            lines = []
            while (line := self.rfile.readline().decode()) not in {".\r\n", ""}:
                lines.append(line)
            return "".join(lines)

        def _say(self, *lines: str) -> None:
            self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        mailbox.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield mailbox
        server.shutdown()
        thread.join(10)
