"""The emulator as a process of its own."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from .account import Account
from .faults import Fault, FaultBook
from .server import EmulatorServer

WARNING: Final = """\
WARNING: this is the OpenRouter EMULATOR, a stand-in for tests and demos. It is not OpenRouter.
         The keys it mints open nothing, no model is called, and everything is forgotten when it stops.
         It takes only management keys that begin with "emulator-". Never give it a real one.
"""


def skewed_clock(skew_s: float) -> Callable[[], datetime]:
    """A clock that goes ``skew_s`` seconds ahead of this machine's (behind it if negative)."""
    return lambda: datetime.now(UTC) + timedelta(seconds=skew_s)


def run(
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    faults: Iterable[Fault] = (),
    seed: int = 0,
    clock_skew_s: float = 0.0,
    canary: str = "",
) -> None:
    """Serve until SIGTERM or SIGINT; call it from the main thread.

    Warns on stderr, then prints one line on stdout once it listens: ``listening on http://HOST:PORT/api/v1``.
    Raises OSError when the port is taken.
    """
    sys.stderr.write(WARNING)
    sys.stderr.flush()
    account = Account(clock=skewed_clock(clock_skew_s), canary=canary)
    # Waited for rather than handled: a second signal inside a handler that sets an Event deadlocks on its lock.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with EmulatorServer(account, FaultBook(faults, seed=seed), host=host, port=port) as server:
        sys.stdout.write(f"listening on {server.base_url}\n")
        sys.stdout.flush()
        signal.sigwait(ends)
