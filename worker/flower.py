"""Flower with our defaults: on loopback, behind a password, read-only; started as ``celery -A worker flower``.

Flower's own flags and ``FLOWER_*`` variables still win, and what they add up to is judged right before it starts.
Where writing is allowed, one door is open: calling one of our tasks. Everything else that changes something (shutting
workers down, sending messages past ``SafeTask``) is taken out, so a stolen password cannot stop the worker.
"""

from __future__ import annotations

from functools import partial
from ipaddress import ip_address
from typing import Any, Final

from flower import urls
from flower.api.tasks import TaskAsyncApply
from tornado.options import OptionParser, options

from config.logging import label_process
from config.settings import Settings

_CHANGING_ROUTES: Final = ("/api/worker/", "/api/task/apply/", "/api/task/send-task/", "/api/task/async-apply/")
_CHANGING_TASK_ROUTES: Final = ("/api/task/abort/", "/api/task/timeout/", "/api/task/rate-limit/", "/api/task/revoke/")
_CALL_OURS: Final = (r"/api/task/async-apply/(rotation\.[a-z_]+)", TaskAsyncApply)


def prepare(settings: Settings, parser: OptionParser = options) -> None:
    """Give Flower our defaults, close its dangerous doors, and have it refuse to start in the open."""
    parser.address = settings.flower_address
    parser.port = settings.flower_port
    parser.read_only = not settings.flower_writable
    parser.max_tasks = 5000  # its own 100,000 keep hundreds of megabytes
    parser.purge_offline_workers = 600  # seconds; a restarted worker has a new label
    parser.tasks_columns = "name,kwargs,state,received,runtime,worker,uuid"
    if settings.flower_basic_auth is not None:
        parser.basic_auth = [settings.flower_basic_auth.reveal()]
    urls.handlers[:] = guarded_routes(urls.handlers)
    parser.add_parse_callback(partial(_judge, settings, parser))


def guarded_routes(routes: list[Any]) -> list[Any]:
    """Flower's routes without those that change anything, but with the one that calls a task of ours."""
    kept = [route for route in routes if not _pattern(route).startswith(_CHANGING_ROUTES + _CHANGING_TASK_ROUTES)]
    return [_CALL_OURS, *kept]


def _pattern(route: Any) -> str:
    return str(route[0] if isinstance(route, tuple) else route.regex.pattern)


def _judge(settings: Settings, parser: OptionParser) -> None:
    """Called by Tornado when Flower has read its options, which only Flower does. Ends the process if it must."""
    label_process("flower")
    fault = fault_of(
        protected=bool(parser.basic_auth or parser.auth),
        allowed_open=settings.flower_open,
        address="localhost" if parser.unix_socket else parser.address,
        read_only=parser.read_only,
    )
    if fault:
        raise SystemExit(f"flower: not started: {fault}")


def fault_of(*, protected: bool, allowed_open: bool, address: str, read_only: bool) -> str | None:
    """Why Flower must not start like this, with the remedy; None if it may."""
    if protected:
        return None
    if not allowed_open:
        return (
            "it has no password, and it shows what runs here. Set ROTATOR_FLOWER_BASIC_AUTH=user:password "
            "(or ROTATOR_FLOWER_BASIC_AUTH_FILE), or ROTATOR_FLOWER_OPEN=true to let everyone on this machine in."
        )
    if not _is_loopback(address):
        return f"without a password it may only listen on loopback, not on {address or 'every address'}."
    if not read_only:
        return "without a password it must be read-only: any web page could make this machine's browser rotate keys."
    return None


def _is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
