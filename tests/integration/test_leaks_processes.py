"""Workers, beat and Flower as operators run them, through a rotation, bugs of every kind and each of Flower's pages."""

from __future__ import annotations

import secrets
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from celery import Celery
from flower import urls
from redis import Redis

from tests.integration.deployment import NAME, Deployment, Flower
from tests.integration.processes import Process, Start, celery, wait_for
from tests.leaks.hunt import Hunt
from tests.leaks.takers import Events, Monitor, dump_postgresql, look_at_processes, look_in_redis
from worker.app import QUEUE
from worker.flower import guarded_routes

BUGS = ["local", "message", "chained", "context", "group", "soft", "logged"]
ENDS = {"exit": "SystemExit()", "base": "OwnBaseError()"}
"""What ends a process, and all that Celery may say of it: its name, without its words."""


# --- bugs ------------------------------------------------------------------------------------------------------


@pytest.fixture
def key_file(tmp_path: Path, canary: str) -> Path:
    """A key, for tasks that lose it."""
    file = tmp_path / "lost.key"
    file.write_text(f"sk-or-v1-{secrets.token_hex(8)}{canary}{secrets.token_hex(8)}")
    return file


def _worker(  # noqa: PLR0917 - fixtures
    deployment: Deployment, start: Start, key_file: Path, pool: str, form: str, name: str = "bugs"
) -> Process:
    environment = {
        **deployment.environment,
        "ROTATOR_LOG_FORMAT": form,
        "ROTATOR_WORKER_CONCURRENCY": str(1 + len(ENDS)),  # a thread that met such an end takes no task again
        "LEAKY_KEY_FILE": str(key_file),
        "PYTHONPATH": ":".join(sys.path),
    }
    command = celery("worker", "-P", pool, app="tests.integration.leaky_tasks")
    worker = start(name, command, environment)
    worker.says("worker_ready")
    deployment.processes.append(worker)
    return worker


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("pool", "form"), [("prefork", "json"), ("threads", "console"), ("solo", "json")])
def test_a_bug_with_a_key_in_its_hands_shows_it_to_nobody(  # noqa: PLR0917 - fixtures
    deployment: Deployment, start: Start, key_file: Path, broker_url: str, canary: str, pool: str, form: str
) -> None:
    hunt = Hunt(canary)
    with ExitStack() as stack:
        events = stack.enter_context(Events(hunt, broker_url))
        monitor = stack.enter_context(Monitor(hunt, broker_url))
        sender = stack.enter_context(Celery("sender", broker=broker_url, set_as_current=False))
        worker = _worker(deployment, start, key_file, pool, form)
        for bug in BUGS:
            sender.send_task(f"leaky.{bug}", queue=QUEUE)
        wait_for(lambda: worker.text.count("raised unexpected") >= len(BUGS), "every bug was reported")
        wait_for(lambda: events.seen["task-failed"], "an event tells of one")
        look_at_processes(hunt, "processes", [worker.pid])
        for end in ENDS:
            if worker.code is not None:
                _forget_tasks(sender)
                worker = _worker(deployment, start, key_file, pool, form, end)
            _end(sender, worker, pool, end)
        look_in_redis(hunt, "Redis", stack.enter_context(Redis.from_url(broker_url)))
    hunt.look("log", deployment.logs())
    assert deployment.logs().count("task_crashed") >= len(BUGS) - 2  # two have lines of their own
    assert "PublicError" in {str(e["exception"]).partition("(")[0] for e in events.endings}
    assert monitor.lines
    assert hunt.findings == []


def _forget_tasks(sender: Celery) -> None:
    """What ended a worker would come again, and end the next one."""
    with sender.connection_for_write() as connection:
        connection.default_channel.queue_purge(QUEUE)


def _end(sender: Celery, worker: Process, pool: str, end: str) -> None:
    """Run what ends a process, until all was said of it: by a child's parent, by a process that ends, or by nobody."""
    sender.send_task(f"leaky.{end}", queue=QUEUE)
    worker.says(f"leaky_{end}")
    if pool == "prefork":
        worker.says(f"Task handler raised error: {ENDS[end]}")
    elif pool == "solo":
        worker.wait()


# --- a rotation, and all that can be seen of it ----------------------------------------------------------------


def _pages(task: str, worker: str) -> dict[str, str]:
    """Each route of Flower's as somebody would open it; "" for those with nothing to read."""
    return {
        "/$": "/",
        "/workers$": "/workers?refresh=1",
        "/worker/(.+)$": f"/worker/{worker}",
        "/task/(.+)$": f"/task/{task}",
        "/tasks$": "/tasks",
        "/tasks/datatable$": "/tasks/datatable?draw=1&start=0&length=100&search[value]=&order[0][column]=0"
        "&order[0][dir]=asc&columns[0][data]=name",
        "/broker$": "/broker",
        "/api/workers": "/api/workers?refresh=1",
        "/api/tasks": "/api/tasks",
        "/api/task/types": "/api/task/types",
        "/api/queues/length": "/api/queues/length",
        "/api/task/info/(.*)": f"/api/task/info/{task}",
        "/api/task/result/(.+)": f"/api/task/result/{task}",
        r"/api/task/async-apply/(rotation\.[a-z_]+)": "/api/task/async-apply/rotation.rotate",
        "/metrics": "/metrics",
        "/healthcheck": "/healthcheck",
        "/static/(.*)": "/static/js/flower.js",
        "/login/?": "/login",
        "/logout$": "/logout",
        ".*": "/nowhere",
    }


def _pattern(route: object) -> str:
    return str(route[0]) if isinstance(route, tuple) else str(route.regex.pattern)  # type: ignore[attr-defined]  # Tornado's


def _look_at_every_page(hunt: Hunt, flower: Flower, place: str) -> None:
    """Every route, for every task and worker that Flower knows."""
    for task in flower.get("/api/tasks").json():
        hunt.look(f"{place}: task", flower.get(f"/task/{task}").text + flower.get(f"/api/task/info/{task}").text)
    task = next(iter(flower.get("/api/tasks").json()), "none")
    worker = next(iter(flower.get("/api/workers").json()), "none")
    pages = _pages(task, worker)
    assert set(pages) == {_pattern(route) for route in guarded_routes(urls.handlers)}
    for path in pages.values():
        answer = flower.get(path)
        hunt.look(f"{place}: {path.partition('?')[0]}", f"{answer.headers} {answer.text}")


def _bad_calls(canary: str) -> list[tuple[str, object]]:
    """What somebody who holds a key may send to a writable Flower, or to a read-only one."""
    call = "/api/task/async-apply/rotation.rotate"
    return [
        (call, {"kwargs": {"name": canary}}),
        (call, {"kwargs": {"name": canary}, "queue": canary}),
        (call, {"args": [canary], "kwargs": {canary: canary}}),
        ("/api/task/async-apply/rotation.reconcile", {"args": [canary, canary]}),
        (f"/api/task/async-apply/rotation.{canary.lower()}", {"args": [canary]}),
        (f"/api/task/send-task/{canary}", {"args": [canary]}),
    ]


@pytest.mark.timeout(240)
def test_a_rotation_is_seen_everywhere_and_its_keys_nowhere(
    deployment: Deployment, canary: str, broker_url: str, postgres_url: str, tmp_path: Path
) -> None:
    hunt = Hunt(canary, deployment.management_key, deployment.environment["ROTATOR_MASTER_KEY"])
    keys_alone = Hunt(canary, deployment.management_key)
    with ExitStack() as stack:
        events = stack.enter_context(Events(hunt, broker_url))
        stack.enter_context(Monitor(keys_alone, broker_url))
        deployment.rotate_every("2h", cooling="1h")
        deployment.worker()
        deployment.beat()
        for writable in (False, True):
            flower = deployment.flower(writable=writable)
            wait_for(deployment.active(1), "the first version is active")
            if writable:
                flower.post("/api/task/async-apply/rotation.rotate", {"kwargs": {"name": NAME}})
                wait_for(deployment.active(2), "the second version is active")
            wait_for(lambda seen=flower: seen.get("/api/tasks").json(), "Flower saw tasks")  # type: ignore[misc]  # a default binds it now
            for path, body in _bad_calls(f"sk-or-v1-{canary}"):
                keys_alone.look(f"Flower's answer to {path[:30]}", flower.post(path, body).text)
            _look_at_every_page(hunt, flower, f"Flower, writable {writable}")
        look_at_processes(keys_alone, "processes", [process.pid for process in deployment.processes])
        look_in_redis(hunt, "Redis", stack.enter_context(Redis.from_url(broker_url)))
    hunt.look("PostgreSQL", dump_postgresql(postgres_url))
    hunt.look("logs", deployment.logs())
    hunt.look_in_files("files", tmp_path, except_=[deployment.env_file])
    assert events.seen["task-succeeded"] > 2
    assert all(hunt.looked[place] for place in ("PostgreSQL", "logs", "Redis: values", "Celery's events"))
    assert hunt.findings == []
    assert keys_alone.findings == []
    found = Hunt(canary)
    found.look("where it belongs", deployment.env_file.read_bytes())
    assert found.findings
