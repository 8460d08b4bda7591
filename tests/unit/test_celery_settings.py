"""The Celery application is set up as its crash tests found right, and shows no password."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from celery.app import defaults

from config.settings import read_settings
from worker import app as app_module

Make = Callable[..., Celery]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Celery] = []

    def _make(**environment: str) -> Celery:
        made.append(app_module.make_app(read_settings({f"ROTATOR_{k}": v for k, v in environment.items()})))
        return made[-1]

    yield _make
    for app in made:
        app.close()


def test_every_setting_exists_in_the_pinned_celery(make: Make) -> None:
    """Celery ignores settings that it does not know, so a misspelt one would silently not apply."""
    assert set(make().conf.changes) - set(defaults.DEFAULTS) == {"deprecated_settings"}  # Celery's own note


def test_spans_keep_their_order(make: Make) -> None:
    """HTTP timeout < lease < soft limit < hard limit < visibility timeout."""
    conf = make().conf
    lease_s = read_settings({}).lease_s.total_seconds()
    visibility_s = conf.broker_transport_options["visibility_timeout"]
    assert 10 < lease_s < conf.task_soft_time_limit < conf.task_time_limit < visibility_s


def test_late_acknowledgement_survives_a_killed_child_but_not_a_failure(make: Make) -> None:
    conf = make().conf
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.task_acks_on_failure_or_timeout
    assert conf.worker_prefetch_multiplier == 1


def test_there_are_twice_as_many_broker_connections_as_tasks(make: Make) -> None:
    conf = make(WORKER_CONCURRENCY="64").conf
    assert conf.worker_concurrency == 64
    assert conf.broker_transport_options["max_connections"] >= 128


def test_the_brokers_certificate_is_checked(make: Make) -> None:
    import ssl

    assert make(BROKER_URL="rediss://h/0").conf.broker_use_ssl == {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    assert not make(BROKER_URL="redis://h/0").conf.broker_use_ssl


def test_the_application_shows_no_password(make: Make) -> None:
    password = secrets.token_hex(16)
    app = make(
        BROKER_URL=f"redis://user:{password}@h/0",
        DATABASE_URL=f"postgresql://user:{password}@h/d",
        MASTER_KEY=password,
        FLOWER_BASIC_AUTH=f"user:{password}",
    )
    shown: Any = app.conf.humanize() + str(app.conf.table()) + app.connection().as_uri() + app.bugreport()
    assert password not in shown


def test_the_tasks_have_their_fixed_names_and_all_are_safe(make: Make) -> None:
    from tasks.safe_task import SafeTask

    app = make()
    app.loader.import_default_modules()
    ours = {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}
    assert sorted(n for n in ours if n.startswith("rotation.")) == [
        "rotation.advance",
        "rotation.check_connections",
        "rotation.dispatch_due",
        "rotation.notify",
        "rotation.reconcile",
        "rotation.rotate",
        "rotation.watch_expiries",
    ]
    assert all(isinstance(task, SafeTask) for task in ours.values())


def test_what_a_task_takes_is_what_its_function_takes(make: Make) -> None:
    import inspect

    app = make()
    app.loader.import_default_modules()
    for name, task in app.tasks.items():
        if name.startswith("rotation."):
            assert list(task.takes) == list(inspect.signature(task.run).parameters), name
