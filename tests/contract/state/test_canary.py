"""A whole life with a canary in every key and password: it is found where keys belong, and nowhere else."""

from __future__ import annotations

import base64
import io
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis

from config.logging import configure_logging
from config.secret import Secret
from config.settings import Settings
from tasks.operations import Operations
from tasks.operations.requests import RotationUpdate
from tasks.providers.openrouter.emulator import EmulatorServer, Ending, Fault, FaultKind
from tasks.rotation.errors import RotatorError
from tasks.rotation.model import Removal
from tasks.wiring import Rotator
from tests.contract.state.scene import DAY, Clock, Rows, order, renew_master_key
from tests.leaks.hunt import Hunt
from tests.leaks.takers import dump_postgresql
from tests.unit.told_here import Receiver, http_receiver

USER = "rotator-canary-test"


@pytest.fixture(params=["console", "json"])
def logged(request: pytest.FixtureRequest, settings: Settings) -> Iterator[io.StringIO]:
    """Everything that is logged at debug, by us and by every library."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    form = {"log_level": "debug", "log_format": request.param}
    configure_logging(settings.model_copy(update=form), stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@dataclass(frozen=True)
class Cache:
    """A Redis user with a password of its own, and the key that is published to."""

    admin: Redis
    target: str
    key: str

    def refuse(self) -> None:
        self.admin.acl_setuser(USER, enabled=False)

    def accept(self) -> None:
        self.admin.acl_setuser(USER, enabled=True)


@pytest.fixture
def cache(redis_url: str, canary: str) -> Iterator[Cache]:
    key, password = f"rotator-test:{canary[-8:]}", f"{canary}-password"
    with Redis.from_url(redis_url) as admin:
        admin.acl_setuser(
            USER, enabled=True, passwords=[f"+{password}"], keys=["*"], channels=["*"], commands=["+@all"]
        )
        place = urlsplit(redis_url)
        target = f"redis:redis://{USER}:{password}@{place.hostname}:{place.port}{place.path or '/0'}#{key}"
        yield Cache(admin, target, key)
        admin.delete(key, f"{{{key}}}:rotation")
        admin.acl_deluser(USER)


@dataclass(frozen=True)
class Told:
    """Somebody who is told of everything, at an address with a password."""

    receiver: Receiver
    rotator: Rotator
    canary: str

    def begin(self, operations: Operations) -> list[str]:
        """Have them told; what the operator is shown, failures included."""
        address = Secret(f"json://user:{self.canary}-told@127.0.0.1:{self.receiver.port}/{self.canary}")
        self.receiver.status = 403
        shown = [_failed(lambda: operations.add_notice_target("ops", address, test=True))]
        self.receiver.status = 200
        shown.append(repr(operations.add_notice_target("ops", address, test=True)))
        shown.append(_failed(lambda: operations.update_notice_target("ops", address=Secret(f"x://{self.canary}"))))
        return shown

    def tell(self, operations: Operations) -> list[str]:
        """Tell them what happened, at the second attempt."""
        self.receiver.status, self.receiver.answer = 500, self.canary.encode()
        self.rotator.notifier.tell(going_on=lambda: True)
        shown = [repr(operations.list_notice_targets()), repr(operations.status())]
        self.receiver.status = 200
        operations.test_notice_target("ops")
        assert self.rotator.notifier.tell(going_on=lambda: True) >= 1
        return [*shown, repr(self.receiver.taken)]


@pytest.fixture
def told(rotator: Rotator, canary: str) -> Iterator[Told]:
    with http_receiver() as receiver:
        yield Told(receiver, rotator, canary)


def _failed(act: Callable[[], object]) -> str:
    with pytest.raises(RotatorError) as refused:
        act()
    return "".join(traceback.format_exception(refused.value)) + repr(refused.value)


def _life(  # noqa: PLR0917 - fixtures
    operations: Operations,
    settings: Settings,
    management_key: Secret,
    openrouter: EmulatorServer,
    clock: Clock,
    cache: Cache,
    file: Path,
    told: Told,
) -> list[str]:
    """Everything that can happen to a rotation; what its operator was shown meanwhile."""
    openrouter.faults.add(Fault(kind=FaultKind.STATUS, status=401, times=1, body=management_key.reveal()))
    shown = [_failed(lambda: operations.create_connection("prod", management_key))]
    operations.create_connection("prod", management_key)
    shown += told.begin(operations)
    publish = (Secret(f"dotenv:{file}"), Secret(cache.target))
    operations.create_rotation(order(initial=True, publish=publish))
    operations.advance_here("web")
    shown.append(_failed(lambda: operations.update_rotation("web", RotationUpdate(add_publish=(publish[1],) * 2))))
    cache.refuse()
    operations.rotate("web")
    operations.advance_here("web")
    shown += [repr(operations.show_rotation("web")), repr(operations.dry_run("web"))]
    cache.accept()
    openrouter.faults.add(Fault(kind=FaultKind.LOST_REPLY, method="POST", path="/keys", times=1, ending=Ending.RESET))
    openrouter.faults.add(Fault(kind=FaultKind.MALFORMED, method="PATCH", times=1))
    for _ in range(4):
        operations.rotate("web")
        operations.advance_here("web")
        clock.advance(DAY)
        operations.advance_here("web")
    operations.undo("web")
    operations.advance_here("web")
    renew_master_key(operations, settings)
    operations.check_connections()
    shown.append(repr(operations.reconcile()))
    shown += told.tell(operations)
    shown.append(repr(operations.reveal_key("web")))
    return shown


@pytest.mark.timeout(180)
def test_no_secret_is_found_outside_its_place(  # noqa: PLR0917 - fixtures
    operations: Operations,
    management_key: Secret,
    openrouter: EmulatorServer,
    clock: Clock,
    cache: Cache,
    tmp_path: Path,
    logged: io.StringIO,
    settings: Settings,
    rows: Rows,
    canary: str,
    told: Told,
) -> None:
    file = tmp_path / "app.env"
    shown = _life(operations, settings, management_key, openrouter, clock, cache, file, told)
    assert any(canary in base64.b64decode(c.partition(" ")[2]).decode() for c in told.receiver.credentials)
    assert any("in service" in title or "notices since" in title for title in told.receiver.titles)
    assert canary in file.read_text()
    assert canary.encode() in (cache.admin.get(cache.key) or b"")
    assert canary in operations.reveal_key("web").reveal()
    shown += [repr(operations.status()), repr(operations.history("web")), repr(operations.events(limit=1000))]
    assert len(operations.events(limit=1000)) > 40
    operations.delete_rotation("web", Removal.REVOKE_KEYS)
    shown += [repr(operations.status()), repr(rows.all())]
    hunt = Hunt(canary)
    _look_in_database(hunt, settings, rows)  # while its keys are still stored
    assert "rotation_planned" in logged.getvalue() or "version_planned" in logged.getvalue()
    operations.advance_here("web")
    for number, text in enumerate(shown):
        hunt.look(f"what was shown, {number}", text)
    hunt.look("log", logged.getvalue())
    _look_in_database(hunt, settings, rows)
    assert hunt.findings == []


def _look_in_database(hunt: Hunt, settings: Settings, rows: Rows) -> None:
    """As a thief of its files or of its backup would."""
    if rows.engine.dialect.name == "postgresql":
        url = rows.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        hunt.look("dump", dump_postgresql(url))
    else:
        hunt.look_in_files("data folder", settings.data_dir)
        assert {"data folder/rotator.sqlite3", "data folder/rotator.sqlite3-wal"} <= set(hunt.looked)


@pytest.mark.parametrize("planted", ["text", "bytes"])
def test_a_thief_would_find_it_if_it_were_there(
    rows: Rows, settings: Settings, canary: str, rotator: object, planted: str
) -> None:
    """The search itself works: what is written in the open is found."""
    if planted == "text":
        rows.ask("INSERT INTO heartbeats (name, at) VALUES (:name, 0)", name=canary)
    else:
        rows.ask("UPDATE installation SET check_sealed = :text", text=canary.encode())
    hunt = Hunt(canary)
    _look_in_database(hunt, settings, rows)
    assert hunt.findings
