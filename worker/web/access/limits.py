"""How often: requests a minute for each token, and wrong tokens a minute from each address.

Whoever has a right token is never locked out by others: an address that sent too many wrong ones is told so instead of
"wrong", and a right token from there still passes. Counted in this process, in memory that cannot be made to grow.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from config.logging import get_logger
from tasks.store.tokens import Token
from worker.web.errors import Denied

Clock = Callable[[], float]
"""Seconds that only grow."""

FAILURES_PER_MINUTE: Final = 10
_BURST_S: Final = 10
"""What a token may do at once is its due of this many seconds."""
_LEAST_BURST: Final = 10
_MOST_KEYS: Final = 10_000
_SWEPT_EVERY_S: Final = 1.0
_OTHERS: Final = "others"
_SITE_BITS: Final = 64
"""Who has one IPv6 address has this network of them."""
log = get_logger(__name__)


class Rate:
    """So many a minute for each key, ``burst`` of them at once. What is used up comes back evenly.

    Of more than ``most`` keys at a time the latest share one allowance: memory stays bounded, and so does the rate.
    """

    def __init__(self, per_minute: int, burst: int, clock: Clock, *, most: int = _MOST_KEYS) -> None:
        self._pace_s = 60 / per_minute
        self._slack_s = self._pace_s * (burst - 1)
        self._clock, self._most = clock, most
        self._due_at: dict[str, float] = {}
        self._swept_at = -math.inf
        self._lock = threading.Lock()

    def take(self, key: str) -> float:
        """Take one. 0 if it was there, else how many seconds later it will be; then nothing is taken."""
        with self._lock:
            now = self._clock()
            key = self._place_of(key, now)
            due = max(self._due_at.get(key, now), now)
            wait_s = due - self._slack_s - now
            if wait_s > 0:
                return wait_s
            self._due_at[key] = due + self._pace_s
            return 0.0

    def _place_of(self, key: str, now: float) -> str:
        if key in self._due_at or len(self._due_at) < self._most:
            return key
        if now - self._swept_at >= _SWEPT_EVERY_S:
            self._swept_at = now
            self._due_at = {k: due for k, due in self._due_at.items() if due > now}
        return key if len(self._due_at) < self._most else _OTHERS

    def __len__(self) -> int:
        return len(self._due_at)


class Limits:
    """The limits of one server."""

    def __init__(self, requests_per_minute: int, *, clock: Clock = time.monotonic) -> None:
        burst = max(_LEAST_BURST, requests_per_minute * _BURST_S // 60)
        self._requests = Rate(requests_per_minute, burst, clock)
        self._failures = Rate(FAILURES_PER_MINUTE, FAILURES_PER_MINUTE, clock)

    def count(self, token: Token) -> None:
        """Count a request. Raises ``Denied`` when the token made too many."""
        if wait_s := self._requests.take(token.id):
            raise _too_often(
                "This token made too many requests; ROTATOR_WEB_REQUESTS_PER_MINUTE says how many.", wait_s
            )

    def refuse(self, address: str) -> Denied:
        """Count a wrong token from ``address``, and say what it deserves."""
        if wait_s := self._failures.take(_site(address)):
            return _too_often("Too many wrong tokens came from this address; a right one still passes.", wait_s)
        log.warning("wrong_token", address=address)
        return Denied.wrong_token()


def _too_often(message: str, wait_s: float) -> Denied:
    return Denied(429, "RateLimitExceeded", message, retry_after_s=math.ceil(wait_s))


def _site(address: str) -> str:
    """What counts as one address."""
    try:
        found = ip_address(address)
    except ValueError:
        return address[:64]
    if not isinstance(found, IPv6Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ip_network((int(found), _SITE_BITS), strict=False))
