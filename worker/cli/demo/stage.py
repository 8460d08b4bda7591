"""The demo's stage: a temporary folder, the emulator and a whole deployment, all gone again at the end."""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from config.environment import PREFIX
from config.secret import Secret
from config.settings import read_settings
from worker.cli.demo.emulator import Emulator, emulator

if TYPE_CHECKING:
    from tasks.operations import Operations
    from worker.supervisor import Supervisor

ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LAST_LINES: Final = 15
_AT_SPEED: Final = {
    "TICK_S": "1",
    "RETRY_BASE_S": "0.5",
    "RETRY_MAX_S": "2",
    "SETTLE_S": "5",
    "SHUTDOWN_S": "10",
    "WORKER_CONCURRENCY": "2",
    "LOG_LEVEL": "warning",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """What the play needs of it."""

    folder: Path
    emulator: Emulator
    operations: Operations
    supervisor: Supervisor
    management_key: Secret

    @property
    def env_file(self) -> Path:
        """Where the application reads its key."""
        return self.folder / "application.env"

    @property
    def processes(self) -> tuple[tuple[str, int], ...]:
        """Who is at work now, with process ids."""
        return (("emulator", self.emulator.pid), *self.supervisor.pids.items())

    def last_log_lines(self) -> str:
        """The end of what the processes said; redacted when it was written."""
        lines = _log_file(self.folder).read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_LAST_LINES:])


@contextmanager
def set_stage() -> Iterator[Stage]:
    """Start everything; at the end, whatever ended it, stop everything and remove the folder."""
    from config.logging import configure_logging, label_process
    from tasks.operations import Operations
    from tasks.wiring import open_rotator
    from worker.app import make_app
    from worker.supervisor import Supervisor

    with tempfile.TemporaryDirectory(prefix="rotator-demo-") as name:
        folder = Path(name)
        with _log_file(folder).open("a", encoding="utf-8") as log, emulator(log) as running:
            environment = _environment(os.environ, folder, running.base_url)
            settings = read_settings(environment)
            label_process("demo")
            configure_logging(settings, log)
            with (
                Supervisor(environment, log) as supervisor,
                closing(open_rotator(settings, actor="demo")) as rotator,
                _undisturbed_ending(),
            ):
                make_app(settings)  # so that what we ask for is passed to this deployment's broker
                key = Secret(f"emulator-{secrets.token_urlsafe(24)}")
                yield Stage(folder, running, Operations(rotator), supervisor, key)


@contextmanager
def _undisturbed_ending() -> Iterator[None]:
    """Once the end has begun, another Ctrl-C must not keep anything from being stopped and removed."""
    try:
        yield
    finally:
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)


def _environment(ours: Mapping[str, str], folder: Path, base_url: str) -> dict[str, str]:
    """The person's environment with settings of the demo's own, so that nobody's data is touched."""
    kept = {name: value for name, value in ours.items() if not name.startswith(PREFIX)}
    settings = {**_AT_SPEED, "DATA_DIR": str(folder / "data"), "OPENROUTER_BASE_URL": base_url}
    return kept | {f"{PREFIX}{name}": value for name, value in settings.items()}


def _log_file(folder: Path) -> Path:
    return folder / "demo.log"
