"""A way to a server that can be closed and opened again, as a firewall or an outage does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Gate:
    """Passes each connection on to ``127.0.0.1:port``. Closed, it cuts those that there are and accepts no other."""

    def __init__(self, port: int) -> None:
        self._behind = ("127.0.0.1", port)
        self._listener = self._listening(0)
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._changing = threading.Lock()

    def close(self) -> None:
        """From now on nobody gets through."""
        with self._changing:
            for each in (self._listener, *self._open):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()
            self._open.clear()

    def open(self) -> None:
        """Everybody gets through again."""
        self._listener = self._listening(self.port)

    def _listening(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(listener,), name="gate", daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # it is closed
            while True:
                here, _ = listener.accept()
                self._join(here)

    def _join(self, here: socket.socket) -> None:
        try:
            there = socket.create_connection(self._behind)
        except OSError:
            here.close()
            return
        with self._changing:
            self._open |= {here, there}
        for one, other in ((here, there), (there, here)):
            threading.Thread(target=self._pass_on, args=(one, other), name="gate", daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


@contextmanager
def gate_before(port: int) -> Iterator[Gate]:
    """An open gate, for as long as the block lasts."""
    gate = Gate(port)
    try:
        yield gate
    finally:
        gate.close()
