"""The tasks themselves, called in this process, on a real broker and database."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Iterator
from secrets import token_hex
from typing import Any

import pytest
import redis
from celery import Celery

from config.secret import Secret
from config.settings import settings
from tasks import jobs
from tasks.rotation.errors import Unavailable
from tasks.safe_task import PublicError
from tests.integration.deployment import NAME, Deployment, free_port
from tests.integration.processes import environment_of
from tests.unit.told_here import http_receiver
from worker.app import QUEUE, make_app


@pytest.fixture
def here(deployment: Deployment) -> Iterator[Deployment]:
    """This process is a worker of the deployment, with one rotation whose first version is due."""
    with environment_of(deployment.environment):
        settings.cache_clear()
        deployment.rotate_every("1h")
        with redis.Redis.from_url(deployment.environment["ROTATOR_BROKER_URL"]) as client:
            client.flushdb()
        yield deployment
        jobs.close_rotator()
    settings.cache_clear()


def _queued(deployment: Deployment) -> list[dict[str, Any]]:
    with redis.Redis.from_url(deployment.environment["ROTATOR_BROKER_URL"]) as client:
        return [json.loads(message) for message in client.lrange(QUEUE, 0, -1)]


def test_a_tick_is_written_down_and_hands_over_what_is_due_once(here: Deployment) -> None:
    jobs.dispatch_due()
    jobs.dispatch_due()
    assert here.rotator.store.last_tick_age() is not None
    (message,) = _queued(here)
    rotation_id = here.operations.show_rotation(NAME).id
    assert message["headers"]["task"] == "rotation.advance"
    assert message["headers"]["kwargsrepr"] == f"rotation_id={rotation_id}"
    assert message["headers"]["expires"] is not None


def test_without_a_broker_what_was_claimed_is_given_back(here: Deployment) -> None:
    good = here.settings
    make_app(good.model_copy(update={"broker_url": _nobody()}))
    began = time.monotonic()
    with pytest.raises(PublicError, match="try-again: The broker could not be reached"):
        jobs.dispatch_due()
    assert time.monotonic() - began < 5
    assert here.rotator.store.last_tick_age() is not None
    make_app(good)
    jobs.dispatch_due()
    assert len(_queued(here)) == 1


def _nobody() -> Any:
    from config.secret import Secret

    return Secret(f"redis://127.0.0.1:{free_port()}/0")


@pytest.mark.parametrize("url", ["redis://:canary/x@h:1/0", "redis://:canary@h/canary"])
def test_a_broker_url_that_kombu_cannot_use_is_an_unreachable_broker_and_is_not_repeated(url: str) -> None:
    """The settings refuse such a URL before; a worker that got one all the same must not print pieces of it."""
    app = Celery("broken", broker=url, set_as_current=False)

    def advance(rotation_id: str) -> None:
        """Never sent."""

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(jobs, "current_app", app)
        patched.setattr(jobs, "advance", app.task(name="rotation.advance", shared=False)(advance))
        with pytest.raises(Unavailable) as refused:
            jobs.enqueue_advance(["any"])
    assert "canary" not in "".join(traceback.format_exception(refused.value))


def test_who_asks_without_a_broker_is_told_so(here: Deployment) -> None:
    make_app(here.settings.model_copy(update={"broker_url": _nobody()}))
    with pytest.raises(Unavailable, match="Nothing is lost"):
        jobs.enqueue_advance(["5b0c9a3e"])


def test_rotate_does_the_work_in_the_task_that_was_asked(here: Deployment) -> None:
    jobs.rotate(name=NAME)
    assert here.active(1)()
    assert here.published_is_accepted()


def test_a_message_that_the_broker_repeats_makes_no_second_rotation(here: Deployment) -> None:
    for _ in range(2):
        jobs.rotate.apply(kwargs={"name": NAME}, task_id="b1a7c0de-0000-4000-8000-000000000001", throw=True)
    assert here.active(1)()
    jobs.rotate.apply(kwargs={"name": NAME}, task_id="b1a7c0de-0000-4000-8000-000000000002", throw=True)
    for _ in range(2):
        jobs.rotate.apply(kwargs={"name": NAME}, task_id="b1a7c0de-0000-4000-8000-000000000003", throw=True)
    assert here.active(3)()


def test_rotating_what_does_not_exist_fails_in_words(here: Deployment) -> None:
    with pytest.raises(PublicError, match=r"operator-needed: .*nowhere"):
        jobs.rotate(name="nowhere")


def test_the_daily_rounds_run(here: Deployment) -> None:
    before = here.operations.show_connection("prod").checked_at
    jobs.check_connections()
    jobs.reconcile()
    jobs.reconcile(connection="prod")
    assert here.operations.show_connection("prod").checked_at > before


def test_people_are_told_by_the_task_and_by_the_next_run_what_could_not_be_sent(here: Deployment) -> None:
    password = token_hex(12)
    with http_receiver() as receiver:
        address = Secret(f"json://user:{password}@127.0.0.1:{receiver.port}")
        here.operations.add_notice_target("ops", address)
        jobs.notify()
        jobs.rotate(name=NAME)
        receiver.status = 503
        jobs.notify()
        (failing,) = here.operations.list_notice_targets()
        assert failing.error == "json answered 503: it cannot take notices now."
        receiver.status = 200
        here.operations.test_notice_target("ops")
        jobs.notify()
        jobs.notify()
    assert receiver.titles == ["rotator can tell you here", f"{NAME}: version 1 is in service"]
    assert password not in repr(receiver.taken)


def test_a_key_that_ends_soon_leaves_its_event(here: Deployment) -> None:
    jobs.rotate(name=NAME)
    jobs.watch_expiries()
    assert not [e for e in here.operations.events(limit=1000) if e.name == "key_expires_soon"]


def test_the_rotator_of_a_process_is_opened_once_and_closed_once(here: Deployment) -> None:
    first = jobs.rotator()
    assert jobs.rotator() is first
    jobs.close_rotator()
    jobs.close_rotator()
    assert jobs.rotator() is not first
