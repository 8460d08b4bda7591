"""The demo's application: it knows only the dotenv file and OpenRouter's address, and never stops calling."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from dotenv import dotenv_values

from config.secret import Secret

_BREATH_S: Final = 0.008  # spares the CPU that the rotation itself needs
_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Consumption:
    """What the consumer has seen so far. ``hashes`` are of the keys it used, in the order of first use."""

    calls: int = 0
    failures: int = 0
    last_failure: str = ""
    hashes: tuple[str, ...] = ()


class Consumer:
    """Reads the key from the file before each call, as an application does that must not be restarted."""

    def __init__(self, env_file: Path, variable: str, base_url: str) -> None:
        self._env_file = env_file
        self._variable = variable
        self._url = f"{base_url}/key"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._consume, name="consumer", daemon=True)
        self._seen = Consumption()

    def start(self) -> None:
        """Begin; the file must be there."""
        self._thread.start()

    def stop(self) -> Consumption:
        """End after the call in flight; return what was seen in all."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_TIMEOUT_S + 1)
        return self._seen

    @property
    def seen(self) -> Consumption:
        """What was seen so far: one consistent value, replaced as a whole."""
        return self._seen

    def _consume(self) -> None:
        with httpx.Client(timeout=_TIMEOUT_S, trust_env=False) as client:
            while not self._stop.is_set():
                self._seen = self._one_call(client)
                time.sleep(_BREATH_S)

    def _one_call(self, client: httpx.Client) -> Consumption:
        before = self._seen
        hashes = before.hashes
        try:
            key = self._read()
            hashes = _with(hashes, key)
            answer = client.get(self._url, headers={"Authorization": f"Bearer {key.reveal()}"})
            failure = "" if answer.is_success else f"refused with {answer.status_code}"
        except (OSError, ValueError, httpx.HTTPError) as error:  # what an application would have to survive
            failure = type(error).__name__
        failures = before.failures + bool(failure)
        return Consumption(before.calls + 1, failures, failure or before.last_failure, hashes)

    def _read(self) -> Secret:
        return Secret(dotenv_values(self._env_file).get(self._variable) or "")


def _with(hashes: tuple[str, ...], key: Secret) -> tuple[str, ...]:
    """OpenRouter's hash of a key is the SHA-256 of its text; here it only tells which version is in use."""
    found = hashlib.sha256(key.reveal().encode()).hexdigest()
    return hashes if hashes and hashes[-1] == found else (*hashes, found)
