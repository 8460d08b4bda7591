"""A key of a real Redis or Valkey, for a user with no more rights than publishing needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from secrets import token_hex
from urllib.parse import urlsplit

from redis import Redis

from config.secret import Secret
from tasks.publishers.redis import ABOUT
from tests.contract.places.place import Place, Surroundings


def place(around: Surroundings) -> Iterator[Place]:
    key, user, password = f"test:{token_hex(8)}", f"test-{token_hex(4)}", token_hex(16)
    companion = f"{{{key}}}:rotation"
    url = urlsplit(around.redis_url)
    netloc = f"{user}:{password}@{url.netloc.rpartition('@')[2]}"
    with Redis.from_url(around.redis_url, decode_responses=True) as owner:
        least = re.findall(r"\+[a-z|]+", ABOUT.auth)  # exactly what we tell people to allow
        owner.acl_setuser(
            user, enabled=True, passwords=[f"+{password}"], commands=least, keys=[key, companion],
            channels=[f"{key}:rotated"],
        )  # fmt: skip
        yield Place(
            kind="redis",
            target=Secret(url._replace(netloc=netloc, fragment=key).geturl()),
            credential=password,
            application_reads=lambda: owner.get(key),
            snapshot=lambda: [(name, owner.dump(name), owner.pttl(name)) for name in (key, companion)],
            spoil=lambda: owner.delete(key) + owner.hset(key, "not", "a string"),
            overwrite=lambda value: owner.set(key, value),
            empty=lambda: owner.delete(key),
            stamped=lambda: str(json.loads(owner.get(companion) or "{}").get("version")),
        )
        owner.delete(key, companion)
        owner.acl_deluser(user)
