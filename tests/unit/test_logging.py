"""Every line of a process, ours or a library's, has one form and shows no secret."""

from __future__ import annotations

import io
import json
import logging
import secrets
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from config.logging import bound, configure_logging, get_logger, hushed, label_process
from config.secret import Secret
from config.settings import read_settings

TEXT = secrets.token_hex(24)


@pytest.fixture(autouse=True)
def _leave_logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    label_process("rotator")


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


def _configure(stream: io.StringIO, form: str = "json", level: str = "debug") -> None:
    configure_logging(read_settings({"ROTATOR_LOG_FORMAT": form, "ROTATOR_LOG_LEVEL": level}), stream)


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_carries_process_level_time_and_what_is_bound(stream: io.StringIO) -> None:
    _configure(stream)
    label_process("worker")
    with bound(rotation="r1", version=3, task_id="t"):
        get_logger("here").info("key_minted", hash="abc")
    get_logger("here").info("later")
    first, second = _lines(stream)
    expected = {"event": "key_minted", "process": "worker", "level": "info", "logger": "here", "hash": "abc"}
    assert expected.items() <= first.items()
    assert (first["rotation"], first["version"], first["task_id"]) == ("r1", 3, "t")
    assert first["timestamp"].endswith("Z")
    assert "rotation" not in second


def test_lines_of_libraries_take_the_same_form(stream: io.StringIO) -> None:
    _configure(stream)
    with bound(rotation="r1"):
        logging.getLogger("kombu.mixins").info("Connected to %s", f"redis://user:{TEXT}@host/0")
    (line,) = _lines(stream)
    assert line["rotation"] == "r1"
    assert TEXT not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_masked_in_events_fields_and_tracebacks(stream: io.StringIO, form: str) -> None:
    _configure(stream, form)
    log = get_logger("here")
    log.warning(f"sk-or-v1-{TEXT}", value=Secret(TEXT), headers={"Authorization": f"Bearer {TEXT}"})
    try:
        raise RuntimeError(f"emulator-{TEXT}")
    except RuntimeError as error:
        log.error("failed", raised=error)
        logging.getLogger("celery.app.trace").exception("Task failed: %s", error)
    assert "RuntimeError" in stream.getvalue()
    assert TEXT not in stream.getvalue()


@pytest.mark.parametrize(
    "name",
    ["httpx", "httpcore.http11", "sqlalchemy.engine", "celery.pool", "kombu", "flower", "urllib3", "requests_oauthlib"],
)
def test_libraries_that_show_too_much_never_log_at_debug(stream: io.StringIO, name: str) -> None:
    _configure(stream)
    logging.getLogger(name).debug("arguments %s", TEXT)
    assert stream.getvalue() == ""


def test_what_is_hushed_is_dropped_whoever_says_it_and_nothing_else(stream: io.StringIO) -> None:
    _configure(stream)

    def elsewhere() -> None:
        get_logger("here").info("beside")

    with hushed():
        get_logger("here").error("ours", raised=RuntimeError(TEXT))
        logging.getLogger("any.library").critical("theirs %s", TEXT)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    get_logger("here").info("after")
    assert [line["event"] for line in _lines(stream)] == ["beside", "after"]


@pytest.mark.parametrize("name", ["httpx", "sqlalchemy.engine.Engine"])
def test_urls_and_statements_are_not_logged_either(stream: io.StringIO, name: str) -> None:
    _configure(stream)
    logging.getLogger(name).info("HTTP Request: %s", TEXT)
    assert stream.getvalue() == ""


def test_the_body_of_a_message_that_celery_does_not_understand_is_not_logged(stream: io.StringIO) -> None:
    from celery.worker.consumer import consumer

    _configure(stream)
    log = logging.getLogger("celery.worker.consumer.consumer")
    log.error(consumer.UNKNOWN_TASK_ERROR, TEXT, TEXT, TEXT, TEXT, exc_info=KeyError(TEXT))
    log.warning(consumer.UNKNOWN_FORMAT, TEXT)
    log.error(consumer.INVALID_TASK_ERROR, TEXT, TEXT)
    log.critical(consumer.MESSAGE_DECODE_ERROR, TEXT, TEXT, TEXT, TEXT, TEXT)
    lines = _lines(stream)
    assert [line["event"] for line in lines] == ["broker_message_discarded"] * 4
    assert lines[0]["reason"] == "Received unregistered task of type"
    assert TEXT not in stream.getvalue()


def test_the_success_of_a_tick_is_not_news_but_its_failure_is(stream: io.StringIO) -> None:
    _configure(stream)
    trace = logging.getLogger("celery.app.trace")
    for name in ("rotation.dispatch_due", "rotation.rotate"):
        facts = {"name": name, "id": "1", "runtime": 0.1, "return_value": None}
        trace.info("Task %(name)s[%(id)s] succeeded in %(runtime)ss", facts)
    trace.error("Task %(name)s[%(id)s] failed", {"name": "rotation.dispatch_due", "id": "2"})
    assert [line["level"] for line in _lines(stream)] == ["info", "error"]
    assert "rotation.rotate" in _lines(stream)[0]["event"]


def test_the_level_of_the_settings_holds_for_everyone(stream: io.StringIO) -> None:
    _configure(stream, level="error")
    get_logger("here").warning("quiet")
    logging.getLogger("celery").warning("quiet")
    get_logger("here").error("loud")
    assert [line["event"] for line in _lines(stream)] == ["loud"]
