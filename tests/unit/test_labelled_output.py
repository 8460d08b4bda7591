"""Lines of several processes stay whole, labelled, and free of secrets."""

from __future__ import annotations

import io
import json
import secrets
import threading

from worker.output import LabelledOutput

TEXT = secrets.token_hex(24)


def test_a_console_line_is_prefixed_and_redacted() -> None:
    stream = io.StringIO()
    LabelledOutput(stream, "console").line("beat", f"Bearer {TEXT}\n")
    assert stream.getvalue() == "beat    | Bearer ********\n"


def test_in_json_own_lines_pass_and_foreign_ones_are_wrapped() -> None:
    stream = io.StringIO()
    output = LabelledOutput(stream, "json")
    output.pump("worker", io.BytesIO(b'{"event": "x"}\n'))
    output.pump("broker", io.BytesIO(f"ready sk-or-v1-{TEXT} \xff\n".encode("latin-1")))
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first == {"event": "x"}
    assert second["process"] == "broker"
    assert TEXT not in second["line"]


def test_lines_written_at_once_stay_whole() -> None:
    stream = io.StringIO()
    output = LabelledOutput(stream, "console")
    threads = [
        threading.Thread(target=output.pump, args=(name, io.BytesIO(f"{name * 50}\n".encode() * 200)))
        for name in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(stream.getvalue().splitlines()) == {f"{name:<7} | {name * 50}" for name in "abcd"}


def test_a_stream_that_is_gone_is_not_worth_dying_for() -> None:
    stream = io.StringIO()
    stream.close()
    LabelledOutput(stream, "console").line("beat", "x")


def test_own_log_lines_take_the_same_way() -> None:
    stream = io.StringIO()
    own = LabelledOutput(stream, "console").own_stream("up")
    own.write("one\ntwo\n")
    own.flush()
    assert stream.getvalue() == "up      | one\nup      | two\n"
    assert not own.isatty()
