"""The emulator as the demo's own process: started, asked for the truth, ended with us."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TextIO

import httpx

from tasks.rotation.errors import Broken
from worker.cli.demo.verdict import EmulatedKey, emulated_keys

_ANNOUNCED: Final = "listening on "
_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator. ``base_url`` is what would be OpenRouter's."""

    base_url: str
    pid: int

    def keys(self) -> tuple[EmulatedKey, ...]:
        """Every key that it ever minted, as it knows them itself. Raises ``Broken`` when it does not tell."""
        url = httpx.URL(self.base_url).copy_with(path="/_emulator/state")
        try:
            return emulated_keys(httpx.get(url, timeout=_TIMEOUT_S, trust_env=False).json())
        except (httpx.HTTPError, ValueError) as error:
            raise Broken("The emulator did not tell which keys it has.", "Run the demo again.") from error


@contextmanager
def emulator(log: TextIO) -> Iterator[Emulator]:
    """Run it while the block runs. It also ends when we are killed: the tether's pipe closes then."""
    reading, writing = os.pipe()
    command = (sys.executable, "-P", "-m", "tasks.providers.openrouter.emulator", "--port", "0")
    try:
        process = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, "-P", "-m", "worker.tether", str(reading), "exec", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=(reading,),
            start_new_session=True,  # Ctrl-C reaches us alone, and we end things in order
            text=True,
        )
    finally:
        os.close(reading)
    try:
        yield Emulator(_address(process), process.pid)
    finally:
        _end(process)
        os.close(writing)


def _address(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline() if process.stdout else ""
    if not line.startswith(_ANNOUNCED):
        raise Broken("The emulator did not start.", "Run `rotator emulator` to see why.")
    return line.removeprefix(_ANNOUNCED).strip()


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()
