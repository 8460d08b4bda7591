"""``celery -A worker worker|beat|flower`` as operators run them, on a real Redis and PostgreSQL."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import httpx
import psycopg
import pytest
import redis

from config.master_key import generate_master_key
from tasks.providers.openrouter.emulator import Fault, FaultKind
from tasks.rotation.model import Reason, VersionState
from tests.integration.deployment import NAME, Deployment
from tests.integration.processes import Start, celery, command_line, wait_for


def test_beats_rotate_and_two_of_them_mint_no_key_twice(deployment: Deployment) -> None:
    deployment.rotate_every("4s")
    deployment.worker("one")
    deployment.worker("two")
    deployment.beat("first")
    deployment.beat("second")
    refused = 0
    for number in (1, 2, 3):
        wait_for(deployment.active(number), f"version {number} is active")
        refused += not deployment.published_is_accepted()
    wait_for(deployment.deleted(2), "version 2 is deleted")
    versions = [v for v in deployment.versions() if v.state is VersionState.DELETED]
    times = [v.deleted_at for v in versions if v.deleted_at]
    assert times == sorted(times)
    assert refused == 0
    minted = deployment.emulator.account.minted
    assert len(minted) == len({v.number for v in deployment.versions() if v.key_hash})
    assert {k.hash for k in minted} >= deployment.emulator.account.live()


@pytest.mark.timeout(240)
def test_a_worker_killed_between_the_post_and_its_commit_leaves_one_active_key_and_no_orphan(
    deployment: Deployment,
) -> None:
    deployment.emulator.faults.add(Fault(kind=FaultKind.HOLD, method="POST", path="/keys", times=1))
    deployment.rotate_every("1h")
    worker = deployment.worker("doomed")
    deployment.beat()
    wait_for(lambda: len(deployment.emulator.account.minted) == 1, "the key is minted and its reply held")
    worker.kill_group()
    deployment.emulator.faults.clear()
    assert deployment.versions()[0].state is VersionState.CREATING
    deployment.worker("successor")
    # The lease of the dead worker runs out (15 s), and the mark that a worker was told (a minute).
    wait_for(
        lambda: any(v.state is VersionState.ACTIVE for v in deployment.versions()), "a key is active", timeout_s=100
    )
    wait_for(lambda: len(deployment.emulator.account.existing()) == 1, "the key nobody holds is deleted", timeout_s=60)
    active = next(v for v in deployment.versions() if v.state is VersionState.ACTIVE)
    assert deployment.emulator.account.live() == {active.key_hash}
    assert deployment.published_is_accepted()


def test_a_worker_killed_in_the_middle_of_everything_is_replaced_without_a_gap(deployment: Deployment) -> None:
    deployment.rotate_every("4s")
    deployment.beat()
    for number in (1, 2, 3):
        worker = deployment.worker(f"life{number}")
        wait_for(deployment.active(number), f"version {number} is active")
        worker.kill_group()
        assert deployment.published_is_accepted()


def test_rotate_is_called_with_celery_call(deployment: Deployment, start: Start) -> None:
    deployment.rotate_every("1h")
    deployment.worker()
    wait_for(deployment.active(1), "the first version is active")
    call = start("call", celery("call", "rotation.rotate", "--kwargs", f'{{"name": "{NAME}"}}'), deployment.environment)
    assert call.wait() == 0, call.text
    wait_for(deployment.active(2), "the second version is active")
    assert deployment.versions()[1].reason is Reason.MANUAL


def test_rotate_is_called_through_a_writable_flower_and_nothing_else_is(deployment: Deployment, canary: str) -> None:
    deployment.rotate_every("1h")
    worker = deployment.worker()
    deployment.beat()
    flower = deployment.flower(writable=True)
    wait_for(deployment.active(1), "the first version is active")
    answer = flower.post("/api/task/async-apply/rotation.rotate", {"kwargs": {"name": NAME}})
    assert answer.status_code == 200, answer.text
    wait_for(deployment.active(2), "the second version is active")
    assert deployment.versions()[1].reason is Reason.MANUAL
    task = answer.json()["task-id"]
    wait_for(lambda: flower.get(f"/api/task/info/{task}").json().get("state") == "SUCCESS", "Flower saw it succeed")
    assert flower.get(f"/api/task/info/{task}").json()["kwargs"] == f"name={NAME}"
    for path, body in {
        "/api/task/send-task/rotation.rotate": {"kwargs": {"name": NAME}},
        "/api/task/async-apply/celery.map": {"args": []},
        f"/api/worker/shutdown/worker@{_host()}": {},
    }.items():
        assert flower.post(path, body).status_code == 404, path
    assert flower.post("/api/task/async-apply/rotation.rotate", {"kwargs": {"name": canary}}).status_code == 500
    assert httpx.get(f"{flower.url}/tasks", timeout=10).status_code == 401
    assert httpx.get(f"{flower.url}/api/tasks", timeout=10).status_code == 401
    assert worker.code is None
    assert len(deployment.versions()) == 2


def _host() -> str:
    import socket

    return socket.gethostname()


def test_flower_is_read_only_by_default(deployment: Deployment) -> None:
    flower = deployment.flower(writable=False)
    answer = flower.post("/api/task/async-apply/rotation.rotate", {"kwargs": {"name": NAME}})
    assert answer.status_code == 403


def test_flower_without_a_password_does_not_start(deployment: Deployment) -> None:
    flower = deployment.run("flower", "flower")
    assert flower.wait() == 1
    assert "ROTATOR_FLOWER_BASIC_AUTH" in flower.text
    assert "Traceback" not in flower.text


def test_keys_are_found_nowhere_but_encrypted(
    deployment: Deployment, broker_url: str, postgres_url: str, canary: str
) -> None:
    deployment.rotate_every("2h", cooling="1h")
    deployment.worker()
    deployment.beat()
    flower = deployment.flower(writable=True)
    wait_for(deployment.active(1), "the first version is active")
    flower.post("/api/task/async-apply/rotation.rotate", {"kwargs": {"name": NAME}})
    flower.post("/api/task/async-apply/rotation.rotate", {"kwargs": {"name": canary}, "queue": canary})
    flower.post("/api/task/async-apply/rotation.rotate", {"args": [canary], "kwargs": {canary: canary}})
    wait_for(deployment.active(2), "the second version is active")
    wait_for(lambda: len(flower.get("/api/tasks").json()) > 2, "Flower saw tasks")
    pages = [flower.get(path).text for path in ("/", "/tasks", "/broker", "/api/tasks", "/api/workers?refresh=true")]
    pages += [flower.get(f"/task/{task}").text for task in flower.get("/api/tasks").json()]
    tables = _dump(postgres_url)
    secrets = {"published key": deployment.published(), "management key": deployment.management_key, "canary": canary}
    places = {
        "logs": deployment.logs(),
        "Flower": "".join(pages),
        "Redis": _redis_dump(broker_url),
        "PostgreSQL": tables,
        "command lines": "".join(command_line(p) for q in deployment.processes for p in q.descendants()),
    }
    assert canary in deployment.published()
    for what, secret in secrets.items():
        for where, text in places.items():
            assert text, where
            assert secret not in text, f"{what} in {where}"
    assert deployment.environment["ROTATOR_MASTER_KEY"] not in "".join(places.values())


def _redis_dump(url: str) -> str:
    with redis.Redis.from_url(url) as client:
        return repr([(key, client.dump(key)) for key in client.scan_iter()])


def _dump(url: str) -> str:
    """Every row of every table as text."""
    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = [connection.execute(f'SELECT t::text FROM "{name}" t').fetchall() for (name,) in names]
    return repr(rows)


def test_a_worker_refuses_an_older_schema(deployment: Deployment, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    _refused(deployment, "rotator", "schema")


def test_a_worker_refuses_an_empty_database(deployment: Deployment, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
    _refused(deployment, "rotator db upgrade")


def test_a_worker_refuses_another_master_key(deployment: Deployment) -> None:
    deployment.rotate_every("1h")
    _refused(deployment, "master key", MASTER_KEY=generate_master_key().reveal())


def test_a_worker_refuses_wrong_settings_all_at_once(deployment: Deployment) -> None:
    _refused(deployment, "ROTATOR_TICK_S", "ROTATOR_LOG_LEVEL", TICK_S="soon", LOG_LEVEL="loud")


def test_a_worker_refuses_to_work_without_its_database(deployment: Deployment) -> None:
    _refused(deployment, "database", DATABASE_URL="postgresql://nobody@127.0.0.1:9/none")


def _refused(deployment: Deployment, *words: str, **settings: str) -> None:
    worker = deployment.run("refused", "worker", **settings)
    assert worker.wait() == 1, worker.text
    assert "rotator: not started:" in worker.text
    for word in words:
        assert word in worker.text
    assert "Traceback" not in worker.text


@pytest.mark.parametrize("pool", ["threads", "solo"])
def test_pools_that_do_not_fork_work_too(deployment: Deployment, pool: str) -> None:
    deployment.rotate_every("1h")
    worker = deployment.run("other", "worker", "-P", pool)
    worker.says("worker_ready")
    deployment.beat()
    wait_for(deployment.active(1), "the first version is active")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0


def test_lines_of_a_rotation_carry_its_name_version_and_task(deployment: Deployment) -> None:
    deployment.rotate_every("1h")
    worker = deployment.worker()
    deployment.beat()
    wait_for(deployment.active(1), "the first version is active")
    rotation_id = deployment.operations.show_rotation(NAME).id
    lines = [json.loads(line) for line in worker.text.splitlines() if line.startswith("{")]
    about = [line for line in lines if line.get("rotation_id") == rotation_id]
    assert all(line["task_id"] and line["task"] == "rotation.advance" for line in about)
    assert all(line["process"] == "worker" for line in about)
    assert any(line.get("rotation") == NAME and line.get("version") == 1 for line in about)


def test_it_works_from_any_folder_even_one_with_packages_of_the_same_names(
    deployment: Deployment, tmp_path: Path
) -> None:
    for name in ("worker", "tasks", "config"):
        (tmp_path / "cwd" / name).mkdir(parents=True)
    assert deployment.worker().code is None
