"""What goes into a task and what comes out of it is fit for everybody's eyes."""

from __future__ import annotations

import pickle
import secrets
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded

from tasks.rotation.errors import InvalidInput, Unavailable
from tasks.safe_task import PublicError, SafeTask, is_flag, is_id, is_slug, is_slug_or_none

CANARY = f"sk-or-v1-{secrets.token_hex(32)}"
QUEUE = f"test-{secrets.token_hex(8)}"


@pytest.fixture
def app() -> Iterator[Celery]:
    made = Celery("test", set_as_current=False, broker="memory://")
    made.conf.task_default_queue = QUEUE  # every test of this process shares that broker
    yield made
    made.close()


def _task(app: Celery, body: Any = lambda **_: None) -> Any:
    @app.task(  # type: ignore[untyped-decorator]  # celery ships no types
        base=SafeTask, shared=False, name="rotation.test", takes={"name": is_slug, "emergency": is_flag}
    )
    def task(name: str, emergency: bool = False) -> None:
        body(name=name, emergency=emergency)

    return task


@pytest.mark.parametrize(
    ("check", "value", "answer"),
    [
        (is_slug, "prod-web-2", True),
        (is_slug, "a" * 64, True),
        (is_slug, "a" * 65, False),
        (is_slug, "two--hyphens", False),
        (is_slug, "Upper", False),
        (is_slug, "prod\n", False),
        (is_slug, 5, False),
        (is_id, "5b0c9a3e-4a5f-4d6e-8a77-000000000000", True),
        (is_id, "with space", False),
        (is_id, None, False),
        (is_flag, True, True),
        (is_flag, 1, False),
        (is_slug_or_none, None, True),
        (is_slug_or_none, "", False),
    ],
)
def test_what_an_argument_may_be(check: Any, value: object, answer: bool) -> None:
    assert check(value) is answer


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((CANARY,), {}),
        ((), {"name": CANARY}),
        ((), {"name": {"key": CANARY}}),
        ((), {"name": "ok", "key": CANARY}),
        (("ok", True, CANARY), {}),
        (("ok",), {"name": "twice"}),
        ((), {"name": "ok", "emergency": "yes"}),
        ((), {}),
        ((), {"emergency": True}),
    ],
)
def test_other_arguments_are_refused_before_they_are_sent_and_in_the_worker_and_never_repeated(
    app: Celery, args: tuple[object, ...], kwargs: dict[str, object]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        _task(app).apply_async(args, kwargs)
    with pytest.raises(PublicError) as failed:
        _task(app)(*args, **kwargs)
    assert CANARY not in str(refused.value) + str(failed.value)


@pytest.mark.parametrize("option", [{"countdown": 5}, {"eta": "2030-01-01"}, {"queue": "other"}, {"link": "x"}])
def test_options_that_would_change_where_or_when_it_runs_are_refused(app: Celery, option: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="options"):
        _task(app).apply_async((), {"name": "ok"}, **option)


def test_what_is_sent_is_named_arguments_and_a_readable_form_of_them(app: Celery) -> None:
    _task(app).apply_async(("prod",), {"emergency": True}, expires=60)
    with app.connection() as connection, connection.SimpleQueue(QUEUE) as queue:
        message = queue.get(timeout=1)
        message.ack()
    assert message.payload[:2] == [[], {"name": "prod", "emergency": True}]
    assert message.headers["kwargsrepr"] == "name=prod, emergency=True"
    assert message.headers["argsrepr"] == ""
    assert message.headers["expires"]


def _shown(failure: BaseException) -> str:
    return "".join(traceback.format_exception(failure))


def test_an_error_of_ours_leaves_with_its_family_and_message_and_no_history(app: Celery) -> None:
    def fail(**_: object) -> None:
        try:
            raise RuntimeError(CANARY)
        except RuntimeError as error:
            raise Unavailable("OpenRouter did not answer.", "It is tried again.") from error

    with pytest.raises(PublicError) as caught:
        _task(app, fail)(name="ok")
    assert str(caught.value) == "try-again: OpenRouter did not answer. It is tried again."
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert CANARY not in _shown(caught.value)


def test_of_any_other_error_only_the_type_leaves(app: Celery) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError(CANARY)

    with pytest.raises(PublicError, match="broken: RuntimeError") as caught:
        _task(app, fail)(name="ok")
    assert CANARY not in _shown(caught.value)


def test_a_task_that_ran_too_long_says_that_it_will_go_on(app: Celery) -> None:
    def fail(**_: object) -> None:
        raise SoftTimeLimitExceeded

    with pytest.raises(PublicError, match="try-again: It took too long"):
        _task(app, fail)(name="ok")


def test_results_are_dropped(app: Celery) -> None:
    assert _task(app, lambda **_: CANARY)(name="ok") is None


def test_a_failure_survives_the_way_from_a_pool_child_to_its_parent() -> None:
    copy = pickle.loads(pickle.dumps(PublicError("broken", "what happened")))
    assert (str(copy), copy.family, copy.message) == ("broken: what happened", "broken", "what happened")
