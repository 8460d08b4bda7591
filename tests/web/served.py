"""The product as a browser or a script meets it: a real server on loopback, the emulator behind it, a worker beside it.

The worker is a thread that does what is due, as often as it can: nothing sleeps for a test's sake, and a rotation ends
within a fraction of a second.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
import uvicorn
from fastapi import FastAPI

from config.secret import Secret
from config.settings import Settings, read_settings
from tasks.operations import Operations
from tasks.operations.requests import RotationRequest, ScheduleRequest
from tasks.operations.views import RotationView
from tasks.providers.openrouter.emulator import Account, EmulatorServer
from tasks.wiring import Rotator, open_rotator
from worker.app import make_app
from worker.web.app import make_web
from worker.web.server import server_for

PATIENCE_S: Final = 20.0
_PAUSE_S: Final = 0.02


class Work:
    """What the worker may do: all that is due, or nothing."""

    def __init__(self) -> None:
        self.allowed = False
        self.turn = threading.Lock()
        """Held by the worker during each round."""

    def go_on(self) -> None:
        """From now on what is due is done."""
        self.allowed = True

    def rest(self) -> None:
        """From now on nothing is done. What had been begun has ended when this returns."""
        self.allowed = False
        assert self.turn.acquire(timeout=PATIENCE_S), "the worker does not end what it began"
        self.turn.release()


@dataclass
class Served:
    """A running server and what stands around it."""

    url: str
    settings: Settings
    rotator: Rotator
    emulator: EmulatorServer
    management_key: Secret
    folder: Path
    canary: str
    clients: ExitStack
    work: Work = field(default_factory=Work)

    @property
    def operations(self) -> Operations:
        """What an operator may ask, beside the server."""
        return Operations(self.rotator)

    @property
    def account(self) -> Account:
        """The emulated account at OpenRouter."""
        return self.emulator.account

    def token(self, role: str, *rotations: str) -> str:
        """The text of a new token."""
        name = f"{role}-{secrets.token_hex(4)}"
        return self.operations.create_token(name, role, rotations=rotations)[1].reveal()

    def client(self, role: str | None = None, *rotations: str) -> httpx.Client:
        """A client with a new token of this role, or with none."""
        headers = {} if role is None else {"Authorization": f"Bearer {self.token(role, *rotations)}"}
        return self.clients.enter_context(httpx.Client(base_url=self.url, headers=headers, timeout=PATIENCE_S))

    def connect(self, name: str = "prod") -> str:
        """Store a connection; its id."""
        return self.operations.create_connection(name, self.management_key).id

    def rotation(self, name: str = "web", *, connection: str = "prod", **order: object) -> RotationView:
        """Create a rotation that publishes to ``NAME.env``, and wait until its first version is active."""
        wanted = {
            "schedule": ScheduleRequest(every="30d"),
            "key_name": name,
            "publish": (Secret(f"dotenv:{self.folder / f'{name}.env'}"),),
            **order,
        }
        self.operations.create_rotation(RotationRequest(name, connection, **wanted))  # type: ignore[arg-type]  # fields of the order
        return self.until_version(name, 1)

    def until_version(self, name: str, version: int) -> RotationView:
        """The rotation once this version is active."""
        give_up_at = time.monotonic() + PATIENCE_S
        while (view := self.operations.show_rotation(name)).active_version != version:
            assert time.monotonic() < give_up_at, f"{name} has no active version {version}: {view}"
            time.sleep(_PAUSE_S)
        return view

    def until_settled(self, name: str) -> RotationView:
        """The rotation once every destination holds its active version, and none is being withdrawn from."""
        give_up_at = time.monotonic() + PATIENCE_S
        while not _settled(view := self.operations.show_rotation(name)):
            assert time.monotonic() < give_up_at, f"{name} does not settle: {view}"
            time.sleep(_PAUSE_S)
        return view


def _settled(view: RotationView) -> bool:
    return all(place.version == view.active_version and not place.leaving for place in view.destinations)


@contextmanager
def served(folder: Path, **settings: str) -> Iterator[Served]:
    """Serve a new installation whose data is in ``folder``; ``settings`` by name, without the prefix."""
    canary = f"CANARY{secrets.token_hex(8)}"
    management_key = Secret(f"emulator-{canary}-management")
    with ExitStack() as stack:
        emulator = stack.enter_context(EmulatorServer(Account(canary=canary)))
        emulator.account.register_management_key(management_key.reveal())
        usual = {"DATA_DIR": str(folder / "data"), "OPENROUTER_BASE_URL": emulator.base_url, "TICK_S": "1"}
        usual["WEB_FOLDERS"] = str(folder)  # destinations of the tests are there
        chosen = {**usual, "WEB_REQUESTS_PER_MINUTE": "1000000", **settings}
        made = read_settings({f"ROTATOR_{name}": value for name, value in chosen.items()})
        make_app(made)
        rotator = stack.enter_context(closing(open_rotator(made, actor="test", threads=16)))
        rotator.store.upgrade()
        url = stack.enter_context(listening(make_web(rotator)))
        stage = Served(url, made, rotator, emulator, management_key, folder, canary, stack.enter_context(ExitStack()))
        stage.work.go_on()
        stack.enter_context(_worker(made, stage.work))
        yield stage


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """Serve ``app`` on loopback; its URL."""
    server = server_for(app, address="127.0.0.1", port=0)
    thread = threading.Thread(target=server.run, name="web")
    thread.start()
    try:
        yield f"http://127.0.0.1:{_port_of(server)}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def _port_of(server: uvicorn.Server) -> int:
    give_up_at = time.monotonic() + PATIENCE_S
    while not server.started:
        assert time.monotonic() < give_up_at, "the server did not start"
        time.sleep(_PAUSE_S)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


@contextmanager
def _worker(settings: Settings, work: Work) -> Iterator[None]:
    ending = threading.Event()

    def run() -> None:
        with closing(open_rotator(settings, actor="worker")) as rotator:
            while not ending.wait(_PAUSE_S):
                with work.turn:
                    _do_what_is_due(rotator, work)

    thread = threading.Thread(target=run, name="worker")
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def _do_what_is_due(rotator: Rotator, work: Work) -> None:
    for rotation_id in rotator.store.claim_due(100) if work.allowed else ():
        rotator.engine.advance(rotation_id)
        rotator.tally.flush()  # a worker process takes ten seconds
