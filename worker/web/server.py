"""The process that serves: uvicorn over the application, with our logging and without its own."""

from __future__ import annotations

import os
import signal
import ssl
import threading
from collections.abc import Sequence
from datetime import timedelta
from socket import socket
from types import FrameType
from typing import Final, cast

import anyio.to_thread
import uvicorn
from fastapi import FastAPI

from config.logging import get_logger
from worker.web.context import Web

log = get_logger(__name__)

THREADS: Final = 32
"""Requests that may wait at once for the database or for OpenRouter, each in a thread."""

_LAST_WORDS_S: Final = 1
_LARGEST_HEAD: Final = 16 * 1024
"""Bytes of a request's first line and headers."""
_IDLE_S: Final = 15
"""How long a connection may stay open without a request."""


class Server(uvicorn.Server):
    """Ends at the first SIGTERM or SIGINT, once what it was asked is answered, and at the second one at once."""

    url = ""
    """Where it is, once it is said that it serves."""

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Serve, and say so."""
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        await super().startup(sockets)
        if self.url:
            log.info("web_ready", url=self.url)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Let those go who wait for something to happen, and end what is under way. What takes longer than it may is
        cut off: a thread cannot be told to stop."""
        if (limit_s := self.config.timeout_graceful_shutdown) is not None:
            last = threading.Timer(limit_s + _LAST_WORDS_S, _cut_off)
            last.daemon = True
            last.start()
        cast("Web", cast("FastAPI", self.config.app).state.web).news.end()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as signal handlers are called
        """What a signal does. It is not raised once more at the end, as uvicorn would: we end with our own code."""
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self.should_exit = True


def _cut_off() -> None:
    log.warning("requests_cut_off", remedy="whatever they began is in the database, and is carried on")
    os._exit(0)


def server_for(
    app: FastAPI,
    *,
    address: str,
    port: int,
    tls: ssl.SSLContext | None = None,
    trusted_proxies: Sequence[str] = (),
    stops_within: timedelta | None = None,
) -> Server:
    """A server that is ready to run; ``port`` 0 takes a free one. Of who asks it believes ``trusted_proxies`` alone."""
    return Server(
        uvicorn.Config(
            app,
            host=address,
            port=port,
            log_config=None,  # ours is set up already
            access_log=False,  # its lines hold whole URLs
            server_header=False,
            lifespan="off",
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=list(trusted_proxies),
            ssl_context_factory=None if tls is None else lambda _config, _default: tls,
            timeout_graceful_shutdown=None if stops_within is None else _graceful_s(stops_within),
            http="h11",  # whose limits are the ones below, and which is strict
            ws="none",
            h11_max_incomplete_event_size=_LARGEST_HEAD,
            timeout_keep_alive=_IDLE_S,
        )
    )


def _graceful_s(stops_within: timedelta) -> int:
    return max(1, int(stops_within.total_seconds()) - _LAST_WORDS_S)
