"""What ends a process while a task runs does end it, and takes no key with it: Celery and Python print its words."""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Callable, Iterator

import pytest
from celery import Celery
from celery.exceptions import WorkerShutdown

from tasks.safe_task import SafeTask
from tests.leaks.hunt import Hunt

KEY = f"sk-or-v1-{secrets.token_hex(32)}"


class OwnBaseError(BaseException):
    """No ``Exception``."""


@pytest.fixture
def app() -> Iterator[Celery]:
    with Celery("test", set_as_current=False, broker="memory://") as made:
        yield made


def _noted(ending: BaseException) -> BaseException:
    ending.add_note(KEY)
    return ending


ENDINGS: dict[str, Callable[[], BaseException]] = {
    "exit": lambda: SystemExit(KEY),
    "interrupt": lambda: KeyboardInterrupt(KEY),
    "our own": lambda: OwnBaseError("first", KEY),
    "exit with many words": lambda: SystemExit("first", KEY),
    "noted": lambda: _noted(KeyboardInterrupt()),
    "group": lambda: BaseExceptionGroup(KEY, [_noted(OwnBaseError(KEY))]),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_its_words_stay_behind(app: Celery, name: str) -> None:
    def fail() -> None:
        try:
            raise ValueError(KEY)
        except ValueError as error:
            raise ENDINGS[name]() from error

    task = app.task(fail, base=SafeTask, shared=False, name="rotation.test", takes={})
    with pytest.raises(BaseException) as ended:  # noqa: PT011 - the type is compared below
        task()
    assert type(ended.value) is type(ENDINGS[name]())
    hunt = Hunt(KEY)
    hunt.look("exception", f"{ended.value!r} {ended.value} {getattr(ended.value, 'code', '')}")
    hunt.look("traceback", "".join(traceback.format_exception(ended.value)))
    assert hunt.findings == []


@pytest.mark.parametrize(("code", "kept"), [(0, 0), (70, 70), (None, None), ("why", 1)])
def test_an_exit_keeps_its_code(app: Celery, code: int | str | None, kept: int | None) -> None:
    def fail() -> None:
        raise WorkerShutdown(code)

    with pytest.raises(WorkerShutdown) as ended:
        app.task(fail, base=SafeTask, shared=False, name="rotation.test", takes={})()
    assert ended.value.code == kept
