"""The emulator on a socket: HTTP/1.1 with keep-alive, on loopback, with faults down to the connection."""

from __future__ import annotations

import os
import re
import socket
import struct
import sys
from contextlib import suppress
from datetime import UTC
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, RLock, Thread, Timer
from types import TracebackType
from typing import Final, Self, assert_never
from urllib.parse import parse_qsl

from .account import Account
from .control import CONTROL_PATH, control
from .delivery import Cut, Reply, deliver
from .faults import Ending, FaultBook
from .messages import BASE_PATH, Answer, Request, bearer_of, below_base, error_answer
from .state import apparent_caller

Connection = socket.socket | tuple[bytes, socket.socket]
"""What ``socketserver`` calls a request; over TCP always a socket."""

_BODY_LIMIT: Final = 1 << 20
_BACKLOG: Final = 128
_POLL_S: Final = 0.05
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: closing sends RST


class EmulatorServer:
    """Serves one account in threads of this process.

    Use it as a context manager, or call ``start`` and ``stop``; stopping twice is harmless. ``port`` 0 takes a free
    one. Stopping cuts every connection and wakes whatever waits, so it takes well under a second.
    """

    def __init__(
        self,
        account: Account | None = None,
        faults: FaultBook | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.account = account or Account()
        self.faults = faults or FaultBook()
        self.stopping = Event()
        self._lock = RLock()
        self._http = _Http(self, _bound(host, port))
        self._address: tuple[str, int] = self._http.socket.getsockname()[:2]
        self._loop: Thread | None = None
        self._recovery: Timer | None = None

    @property
    def port(self) -> int:
        """The port in use."""
        return self._address[1]

    @property
    def base_url(self) -> str:
        """What a client takes as OpenRouter's base URL."""
        return f"http://{self._address[0]}:{self.port}{BASE_PATH}"

    @property
    def control_url(self) -> str:
        """Where the control paths stand."""
        return f"http://{self._address[0]}:{self.port}{CONTROL_PATH}"

    def start(self) -> Self:
        """Listen; returns at once, and connections are accepted from then on."""
        with self._lock:
            self._listen()
        return self

    def stop(self) -> None:
        """Stop listening, cut every connection, wait for the threads."""
        with self._lock:
            self.stopping.set()
            self._cancel_recovery()
            self._unlisten()
        self.faults.release()
        self._http.cut_connections()
        self._http.server_close()

    def refuse(self, seconds: float) -> None:
        """Cut every connection and refuse new ones for ``seconds``; a second call starts the time anew."""
        with self._lock:
            if self.stopping.is_set():
                return
            self._cancel_recovery()
            self._unlisten()
            self._http.cut_connections()
            self._recovery = Timer(seconds, self.recover)
            self._recovery.daemon = True
            self._recovery.start()

    def recover(self) -> None:
        """Accept connections again, before the time is up too."""
        with self._lock:
            self._cancel_recovery()
            if not self.stopping.is_set():
                self._listen()

    def _cancel_recovery(self) -> None:
        if self._recovery is not None:
            self._recovery.cancel()
            self._recovery = None

    def _listen(self) -> None:
        if self._loop is None:
            self._http.socket.listen(_BACKLOG)
            self._loop = Thread(target=self._http.serve_forever, args=(_POLL_S,), name="emulator", daemon=True)
            self._loop.start()

    def _unlisten(self) -> None:
        """Close the listener; a socket that is bound but deaf keeps its port, so that connecting is refused."""
        if self._loop is not None:
            self._http.shutdown()
            self._loop.join()
            self._loop = None
            self._http.socket.close()
            self._http.socket = _bound(*self._address)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _bound(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


class _Http(ThreadingHTTPServer):
    """A thread for each connection; knows them all, to cut them."""

    daemon_threads = False  # so that server_close waits for them

    def __init__(self, emulator: EmulatorServer, listener: socket.socket) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.emulator = emulator
        self._open: set[socket.socket] = set()
        self._open_lock = RLock()

    def process_request(self, request: Connection, client_address: object) -> None:
        """Remember the connection before its thread runs, so that a stop can never miss it."""
        if isinstance(request, socket.socket):
            with self._open_lock:
                self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Connection) -> None:
        """End a connection in order."""
        self.forget(request)
        super().shutdown_request(request)

    def forget(self, connection: Connection) -> None:
        """This connection is not to be cut any more."""
        if isinstance(connection, socket.socket):
            with self._open_lock:
                self._open.discard(connection)

    def cut_connections(self) -> None:
        """End every connection at once; its thread sees the end and leaves."""
        with self._open_lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no error here; nothing else is expected and it is shown by the default."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # typeshed names a tighter type


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one packet
    server: _Http

    def serve(self) -> None:
        """One request: a control call, or a call of the API with whatever fault is due."""
        path, _, query_text = self.path.partition("?")
        query = dict(parse_qsl(query_text, keep_blank_values=True))
        body = self._read_body()
        if body is None:
            self.close_connection = True
            self._send_answer(error_answer(413, "the emulator reads at most 1 MiB, with a Content-Length"))
        elif path.startswith(CONTROL_PATH + "/"):
            emulator = self.server.emulator
            self._send_answer(control(emulator, self.command, path.removeprefix(CONTROL_PATH), query, body))
        else:
            bearer = bearer_of(self.headers.get("Authorization", ""))
            self._serve_api(Request(self.command, below_base(path), query, bearer, body))

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = serve  # noqa: N815 - names that http.server asks for

    def _read_body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not re.fullmatch(r"[0-9]{1,9}", length) or int(length) > _BODY_LIMIT:
            return None
        return self.rfile.read(int(length))

    def _serve_api(self, request: Request) -> None:
        emulator = self.server.emulator
        plan = emulator.faults.plan(request.method, request.path, apparent_caller(request.bearer))
        if plan.latency_s and emulator.stopping.wait(plan.latency_s):
            self.close_connection = True
            return
        match deliver(emulator.account, request, plan.fault):
            case Cut() as cut:
                self._cut(cut)
            case Reply() as reply:
                if reply.held_s:
                    emulator.faults.hold(reply.held_s, abandoned=emulator.stopping.is_set)
                self._send(reply)

    def _cut(self, cut: Cut) -> None:
        self.close_connection = True
        if cut.refuse_s is not None:
            self.server.forget(self.connection)
            self.server.emulator.refuse(cut.refuse_s)
        match cut.ending:
            case Ending.CLOSE:
                return
            case Ending.RESET:
                self.server.forget(self.connection)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                os.close(self.connection.detach())  # an orderly shutdown would send FIN before the RST
            case Ending.SILENCE:
                self._wait_for_the_client_to_leave()
            case _:
                assert_never(cut.ending)

    def _wait_for_the_client_to_leave(self) -> None:
        with suppress(OSError):
            while self.connection.recv(4096):
                pass

    def _send_answer(self, answer: Answer) -> None:
        payload = answer.payload()
        self._send(Reply(answer.status, payload, len(payload), answer.headers))

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(reply.declared_length))
        if reply.declared_length != len(reply.payload):
            self.close_connection = True
        self.end_headers()
        self.wfile.write(reply.payload)

    def version_string(self) -> str:
        return "openrouter-emulator"

    def date_time_string(self, timestamp: float | None = None) -> str:  # noqa: ARG002 - the name it overrides
        """The ``Date`` header, by the account's clock."""
        return format_datetime(self.server.emulator.account.now().astimezone(UTC), usegmt=True)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the account keeps the call log."""
