"""The emulator without sockets: an httpx transport for tests that make thousands of calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC
from email.utils import format_datetime
from typing import assert_never

import httpx

from .account import Account
from .delivery import Cut, Reply, deliver
from .faults import Ending, FaultBook, Plan
from .messages import Request, bearer_of, below_base
from .state import apparent_caller


class EmulatorTransport(httpx.BaseTransport):
    """Answers httpx from an account, with the same faults as the server.

    Nothing sleeps unless ``sleep`` does: it is given every wait in seconds, and may move a fake clock. A wait longer
    than the request's own read timeout ends as ``httpx.ReadTimeout`` at that timeout; the effect of a request that
    was still waiting lands late, as it would at a real server. Broken connections become the exceptions that httpx
    raises for real ones: ``ConnectError``, ``ReadError``, ``ReadTimeout``, ``RemoteProtocolError``.
    """

    def __init__(
        self,
        account: Account,
        faults: FaultBook | None = None,
        *,
        sleep: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self.account = account
        self.faults = faults or FaultBook()
        self._sleep = sleep

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one httpx request, or raise as httpx does."""
        asked = _read(request)
        plan = self.faults.plan(asked.method, asked.path, apparent_caller(asked.bearer))
        self._wait(request, plan.latency_s, lambda: self._arrive_late(asked, plan))
        match deliver(self.account, asked, plan.fault):
            case Cut() as cut:
                raise self._broken(request, cut)
            case Reply() as reply:
                self._wait(request, reply.held_s)
                return self._response(request, reply)

    def _wait(self, request: httpx.Request, seconds: float, give_up: Callable[[], None] = lambda: None) -> None:
        """Wait; if that outlasts the caller's patience, ``give_up`` and time out."""
        patience = _read_timeout(request)
        if patience is None or seconds <= patience:
            self._sleep(seconds)
            return
        give_up()
        self._sleep(patience)
        raise httpx.ReadTimeout("timed out", request=request)

    def _arrive_late(self, asked: Request, plan: Plan) -> None:
        """The caller gave up during a latency: the call still does what it does, and nobody hears of it."""
        if plan.fault is None:
            self.account.handle_late(asked, plan.latency_s, "latency")
        else:
            deliver(self.account, asked, plan.fault)

    def _broken(self, request: httpx.Request, cut: Cut) -> httpx.TransportError:
        if cut.refuse_s is not None:
            return httpx.ConnectError("Connection refused", request=request)
        match cut.ending:
            case Ending.CLOSE:
                return httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
            case Ending.RESET:
                return httpx.ReadError("Connection reset by peer", request=request)
            case Ending.SILENCE:
                self._sleep(_read_timeout(request) or 0.0)
                return httpx.ReadTimeout("timed out", request=request)
            case _:
                assert_never(cut.ending)

    def _response(self, request: httpx.Request, reply: Reply) -> httpx.Response:
        headers = {
            "Date": format_datetime(self.account.now().astimezone(UTC), usegmt=True),
            "Content-Type": "application/json",
            "Content-Length": str(reply.declared_length),
            **reply.headers,
        }
        return httpx.Response(reply.status, headers=headers, stream=_Body(request, reply))


class _Body(httpx.SyncByteStream):
    """The reply's bytes, and the error of a body that ends too early."""

    def __init__(self, request: httpx.Request, reply: Reply) -> None:
        self._request = request
        self._reply = reply

    def __iter__(self) -> Iterator[bytes]:
        yield self._reply.payload
        if len(self._reply.payload) < self._reply.declared_length:
            message = "peer closed connection without sending complete message body"
            raise httpx.RemoteProtocolError(message, request=self._request)


def _read(request: httpx.Request) -> Request:
    return Request(
        method=request.method,
        path=below_base(request.url.path),
        query=dict(request.url.params),
        bearer=bearer_of(request.headers.get("authorization", "")),
        body=request.read(),
    )


def _read_timeout(request: httpx.Request) -> float | None:
    timeout = request.extensions.get("timeout", {}).get("read")
    return timeout if isinstance(timeout, float | int) else None
