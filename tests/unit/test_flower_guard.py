"""Flower starts protected, read-only and on loopback, or not at all."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flower.urls import handlers
from tornado.options import OptionParser

from config.settings import read_settings
from worker.flower import fault_of, guarded_routes, prepare

ROUTES: list[Any] = list(handlers)


@pytest.mark.parametrize(
    ("protected", "allowed_open", "address", "read_only", "starts"),
    [
        (True, False, "127.0.0.1", True, True),
        (True, False, "0.0.0.0", False, True),
        (False, False, "127.0.0.1", True, False),
        (False, True, "127.0.0.1", True, True),
        (False, True, "::1", True, True),
        (False, True, "localhost", True, True),
        (False, True, "", True, False),
        (False, True, "0.0.0.0", True, False),
        (False, True, "db.example", True, False),
        (False, True, "127.0.0.1", False, False),
    ],
)
def test_when_flower_may_start(
    protected: bool, allowed_open: bool, address: str, read_only: bool, starts: bool
) -> None:
    fault = fault_of(protected=protected, allowed_open=allowed_open, address=address, read_only=read_only)
    assert (fault is None) is starts


def _matches(routes: list[Any], path: str) -> Any:
    """The handler that Tornado would choose: the first whose whole pattern matches."""
    for route in routes:
        pattern = route[0] if isinstance(route, tuple) else route.regex.pattern
        if re.fullmatch(pattern.removesuffix("$"), path):
            return route[1] if isinstance(route, tuple) else route.handler_class
    return None


def _name(path: str, routes: list[Any]) -> str:
    return str(_matches(routes, path).__name__)


@pytest.mark.parametrize(
    "path",
    [
        "/api/task/send-task/rotation.rotate",
        "/api/task/apply/rotation.rotate",
        "/api/task/async-apply/celery.map",
        "/api/task/abort/x",
        "/api/task/revoke/x",
        "/api/task/timeout/rotation.rotate",
        "/api/task/rate-limit/rotation.rotate",
        "/api/worker/shutdown/celery@host",
        "/api/worker/pool/shrink/celery@host",
        "/api/worker/queue/add-consumer/celery@host",
    ],
)
def test_the_doors_that_change_something_lead_nowhere(path: str) -> None:
    assert _name(path, ROUTES) != "NotFoundErrorHandler"
    assert _name(path, guarded_routes(ROUTES)) == "NotFoundErrorHandler"


@pytest.mark.parametrize(
    ("path", "handler"),
    [
        ("/api/task/async-apply/rotation.rotate", "TaskAsyncApply"),
        ("/api/tasks", "ListTasks"),
        ("/api/workers", "ListWorkers"),
        ("/api/task/info/x", "TaskInfo"),
        ("/", "WorkersView"),
        ("/healthcheck", "Healthcheck"),
    ],
)
def test_looking_and_calling_our_tasks_stay_possible(path: str, handler: str) -> None:
    assert _name(path, guarded_routes(ROUTES)) == handler


def test_every_route_of_this_flower_that_takes_a_post_is_closed_or_known() -> None:
    """A newer Flower with a new way to change things makes this fail, and a person look."""
    kept = [route[1] if isinstance(route, tuple) else route.handler_class for route in guarded_routes(ROUTES)]
    posting = {handler.__name__ for handler in kept if "post" in vars(handler)}
    lists_only, answers_404 = "TasksDataTable", "NotFoundErrorHandler"
    assert posting == {"TaskAsyncApply", lists_only, answers_404}


class _Options(OptionParser):
    """Flower's options that we set, as Flower defines them, in a parser of the test's own."""

    def __init__(self) -> None:
        super().__init__()
        for name, default in (("address", ""), ("unix_socket", ""), ("auth", ""), ("tasks_columns", "")):
            self.define(name, default=default, type=str)
        for name in ("port", "max_tasks", "purge_offline_workers"):
            self.define(name, default=0, type=int)
        self.define("basic_auth", default=None, type=str, multiple=True)
        self.define("read_only", default=False, type=bool)


@pytest.fixture
def _routes_as_they_were() -> Any:
    yield
    handlers[:] = ROUTES


@pytest.mark.usefixtures("_routes_as_they_were")
def test_flower_gets_our_defaults_and_its_own_flags_still_win() -> None:
    parser = _Options()
    prepare(read_settings({"ROTATOR_FLOWER_BASIC_AUTH": "me:with,comma", "ROTATOR_FLOWER_PORT": "5600"}), parser)
    parser.parse_command_line(["flower", "--port=5601"])
    assert (parser.address, parser.port, parser.read_only) == ("127.0.0.1", 5601, True)
    assert parser.basic_auth == ["me:with,comma"]


@pytest.mark.usefixtures("_routes_as_they_were")
@pytest.mark.parametrize("flags", [[], ["--address=0.0.0.0"], ["--read_only=False"]])
def test_without_a_password_it_refuses_to_start(flags: list[str]) -> None:
    parser = _Options()
    prepare(read_settings({}), parser)
    with pytest.raises(SystemExit, match="ROTATOR_FLOWER_BASIC_AUTH"):
        parser.parse_command_line(["flower", *flags])
