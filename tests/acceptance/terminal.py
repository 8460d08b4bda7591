"""A person at a terminal: types a block of commands into bash, answers what is asked, and presses Ctrl-C."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PATIENCE_S = 90.0
_WITH_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])) % 256)"
"""Forks in a process of its own: here are threads, which a fork would not survive."""
_CTRL_C = b"\x03"

Answers = Sequence[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]]
"""What to type when the screen ends with a question like this."""


class Terminal:
    """Bash with a block of commands, in a terminal of its own. ``screen`` is all that it showed so far."""

    def __init__(self, script: str, environment: Mapping[str, str], folder: Path, answers: Answers) -> None:
        self._answers = answers
        self._answered = 0
        self._shown = bytearray()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _WITH_TERMINAL, "bash", "-euo", "pipefail", "-c", script],
            cwd=folder, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def screen(self) -> str:
        """Line ends are plain."""
        return bytes(self._shown).decode(errors="replace").replace("\r\n", "\n")

    def wait(self) -> int:
        """Answer what is asked until the block ends; its exit code."""
        self._until(lambda: self._process.poll() is not None, "it ends")
        self._reader.join(PATIENCE_S)
        return self._process.returncode

    def says(self, text: str) -> None:
        """Return once ``text`` is on the screen of a command that stays."""
        self._until(lambda: text in self.screen or self._process.poll() is not None, f"it says {text!r}")
        assert text in self.screen, f"it ended before it said {text!r}:\n{self.screen[-3000:]}"

    def press_ctrl_c(self) -> int:
        """End a command that stays, as a person does; its exit code."""
        self._type(_CTRL_C)
        return self.wait()

    def close(self) -> None:
        """End it in any case."""
        if self._process.poll() is None:
            self._process.terminate()  # bash and its children then lose their terminal, which ends them
            self._process.wait(PATIENCE_S)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        give_up_at = time.monotonic() + PATIENCE_S
        while not condition():
            self._answer()
            assert time.monotonic() < give_up_at, (
                f"waited {PATIENCE_S:g} s in vain until {what}:\n{self.screen[-3000:]}"
            )
            time.sleep(0.02)

    def _answer(self) -> None:
        screen = self.screen[self._answered :]
        for question, answer in self._answers:
            asked = question.search(screen)
            if asked is not None:
                self._answered += asked.end()
                self._type(f"{answer(asked)}\n".encode())

    def _type(self, keys: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(keys)
        self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        while chunk := os.read(self._process.stdout.fileno(), 65536):
            self._shown += chunk
