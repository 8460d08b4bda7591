"""Whatever a message asks of a task: it does what it may or refuses; nothing half done, nothing repeated, no crash."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pytest
from celery import Celery
from celery.app.trace import build_tracer
from hypothesis import given
from hypothesis import strategies as st

from config.settings import read_settings
from tasks.rotation.errors import InvalidInput
from tasks.safe_task import PublicError, SafeTask
from tests.property.effort import effort
from tests.property.outcome import raised
from tests.steered.installation import CONNECTION, Installation, copied, make_template
from worker.app import make_app

CANARY: Final = f"canary{secrets.token_hex(8)}"
FAMILIES: Final = {"try-again", "outcome-unknown", "operator-needed", "lease-lost"}
"""Not ``broken``: whatever a message says, no promise of ours is broken by it."""

_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from([CANARY, "web", CONNECTION, f"{CANARY} ", "web\n", "", "a" * 5000, f"sk-or-v1-{CANARY}", "nobody"]),
)  # fmt: skip
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
_names = st.sampled_from(["name", "rotation_id", "emergency", "connection", "self", "task_id", CANARY, "", "args"])
arguments = st.lists(_values, max_size=4)
keywords = st.dictionaries(_names | st.text(max_size=5), _values, max_size=4)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Celery]:
    made = make_app(read_settings({"ROTATOR_DATA_DIR": str(tmp_path_factory.mktemp("data"))}))
    made.loader.import_default_modules()
    made.finalize()
    yield made
    made.close()


def tasks_of(app: Celery) -> list[Any]:
    """Every task of ours that a message can name."""
    return [task for name, task in sorted(app.tasks.items()) if not name.startswith("celery.")]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A rotation and a connection, so that some messages are right."""
    folder: Path = tmp_path_factory.mktemp("installation")
    with ExitStack() as stack:
        made = stack.enter_context(copied(make_template(tmp_path_factory.mktemp("template")), folder))
        made.create()
        made.run_until_rest()
        stack.enter_context(patch("tasks.jobs.rotator", lambda: made.rotator))
        stack.enter_context(patch("tasks.jobs.enqueue_advance", lambda _ids: None))
        yield made


def _dump(installation: Installation) -> list[str]:
    with sqlite3.connect(installation.settings.data_dir / "rotator.sqlite3") as database:
        return list(database.iterdump())


def test_every_task_is_one_that_judges_its_message(app: Celery) -> None:
    assert len(tasks_of(app)) >= 5
    assert all(isinstance(task, SafeTask) for task in tasks_of(app))


@effort(150)
@given(data=st.data(), args=arguments, kwargs=keywords)
def test_a_task_does_what_it_may_or_refuses_without_a_word_of_it(
    app: Celery, installation: Installation, data: st.DataObject, args: list[object], kwargs: dict[str, object]
) -> None:
    task = data.draw(st.sampled_from(tasks_of(app)))
    sent = json.loads(json.dumps([args, kwargs]))
    unfit = raised(InvalidInput, lambda: task._named(*sent)) is not None
    before = _dump(installation) if unfit else []
    failure = raised(PublicError, lambda: task(*sent[0], **sent[1]))
    if unfit:
        assert failure is not None
        assert _dump(installation) == before
    if failure is not None:
        assert failure.family in FAMILIES, failure
        assert failure.__context__ is None
        assert CANARY not in str(failure) or not unfit  # a name that could be one may be named


def test_an_argument_that_is_missing_is_named(app: Celery) -> None:
    failure = raised(PublicError, app.tasks["rotation.rotate"])
    assert str(failure) == "operator-needed: name: is missing rotation.rotate takes name, emergency."


@effort(40)
@given(data=st.data(), kwargs=keywords)
def test_the_worker_marks_it_failed_and_goes_on(
    app: Celery, installation: Installation, data: st.DataObject, kwargs: dict[str, object]
) -> None:
    """By Celery's own way from a message to a task, with a first argument that no task takes."""
    task = data.draw(st.sampled_from(tasks_of(app)))
    tracer = build_tracer(task.name, task, app=app, eager=False)
    traced = tracer("an-id", [f"{CANARY} "], json.loads(json.dumps(kwargs)), {"id": "an-id", "is_eager": True})
    assert isinstance(traced.info.retval, PublicError)
    assert CANARY not in str(traced.info.retval)


@effort(100)
@given(data=st.data(), args=arguments, kwargs=keywords)
def test_what_a_task_would_refuse_is_not_even_sent(
    app: Celery, data: st.DataObject, args: list[object], kwargs: dict[str, object]
) -> None:
    task = data.draw(st.sampled_from(tasks_of(app)))
    if raised(InvalidInput, lambda: task._named(args, kwargs)) is None:
        return
    with patch("celery.app.base.Celery.send_task", side_effect=AssertionError("it was sent")):
        refusal = raised(InvalidInput, lambda: task.apply_async(args, kwargs))
    assert refusal is not None
    assert CANARY not in str(refusal)
