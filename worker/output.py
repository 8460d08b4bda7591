"""The lines of several processes in one stream, each labelled with whose it is."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import BinaryIO, Final, Literal, TextIO

from config.redaction import redact

_LABEL_WIDTH: Final = 7


class LabelledOutput:
    """Writes whole lines to ``stream``, one at a time, from any thread.

    In the ``json`` form every line is an object: those of our processes pass as they are (each says which process it
    is from), and what others print is wrapped.
    """

    def __init__(self, stream: TextIO, form: Literal["console", "json"]) -> None:
        self._stream = stream
        self._form = form
        self._lock = threading.Lock()

    def line(self, label: str, text: str) -> None:
        """Write one line of the process ``label``. A stream that is gone is not worth dying for."""
        shaped = self._shaped(label, text.rstrip("\r\n"))
        with self._lock:
            try:
                self._stream.write(f"{shaped}\n")
                self._stream.flush()
            except (OSError, ValueError):
                return

    def pump(self, label: str, source: BinaryIO) -> None:
        """Pass on every line of ``source`` until it ends, then close it."""
        with source:
            for raw in source:
                self.line(label, raw.decode("utf-8", "replace"))

    def own_stream(self, label: str) -> TextIO:
        """A stream for this process's own log lines."""
        return _Own(self, label, self._stream)  # type: ignore[return-value]  # what a StreamHandler uses of a TextIO

    def _shaped(self, label: str, text: str) -> str:
        if self._form == "console":
            return f"{label:<{_LABEL_WIDTH}} | {redact(text)}"
        if text.startswith("{"):
            return text
        return json.dumps(
            {"event": "output", "line": redact(text), "process": label, "timestamp": datetime.now(UTC).isoformat()}
        )


class _Own:
    """Turns what a log handler writes into labelled lines."""

    def __init__(self, output: LabelledOutput, label: str, stream: TextIO) -> None:
        self._output = output
        self._label = label
        self._stream = stream

    def write(self, text: str) -> int:
        for line in text.splitlines():
            self._output.line(self._label, line)
        return len(text)

    def flush(self) -> None:
        """Every line is flushed as it is written."""

    def isatty(self) -> bool:
        return self._stream.isatty()
