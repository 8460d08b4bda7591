"""A server that has too much to do says so at once, and goes on."""

from __future__ import annotations

import asyncio
import json

from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from worker.web.access.crowd import Crowd


class _Slow:
    """An application that answers when it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})


async def _asked(app: Crowd, path: str) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], "state": {}}
    await app({**scope, "scheme": "http", "server": ("127.0.0.1", 80), "app": Starlette()}, receive, send)
    return sent


def test_who_comes_beyond_the_limit_is_asked_to_come_back_and_there_is_room_again_later() -> None:
    async def story() -> None:
        slow = _Slow()
        crowd = Crowd(slow, most=2)
        served = [asyncio.create_task(_asked(crowd, "/metrics")) for _ in range(2)]
        await asyncio.sleep(0)
        start, body = await _asked(crowd, "/metrics")
        assert start["status"] == 503
        assert (b"retry-after", b"2") in start["headers"]
        assert json.loads(body["body"])["error"] == "ServiceUnavailable"
        alive = asyncio.create_task(_asked(crowd, "/healthz"))
        await asyncio.sleep(0)
        assert not alive.done()
        slow.go.set()
        assert [answers[0]["status"] for answers in await asyncio.gather(*served, alive)] == [200, 200, 200]
        assert (await _asked(crowd, "/metrics"))[0]["status"] == 200

    asyncio.run(story())
