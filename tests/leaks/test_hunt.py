"""The hunt finds what is there: a canary planted in every place and disguise; and it is silent where there is none."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from celery import Celery
from redis import Redis
from rich.console import Console
from rich.table import Column, Table

from tests.integration.processes import wait_for
from tests.leaks.hunt import Hunt
from tests.leaks.takers import Events, Monitor, dump_postgresql, look_at_processes, look_in_redis, uncompressed_rdb

CANARY = f"canary{secrets.token_hex(8)}"
STRANGE = f'ca"nä/+r\\y{secrets.token_hex(6)}'

DISGUISES: dict[str, Callable[[str], bytes]] = {
    "in the open": str.encode,
    "in capitals": lambda text: text.upper().encode(),
    "JSON": lambda text: json.dumps({"key": text}).encode(),
    "JSON in UTF-8": lambda text: json.dumps({"key": text}, ensure_ascii=False).encode(),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"key": text})).encode(),
    "repr": lambda text: repr({"key": text}).encode(),
    "URL": lambda text: quote(text, safe="").encode(),
    "URL, every byte": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()).encode(),
    "hex": lambda text: text.encode().hex().encode(),
    "hex in capitals": lambda text: text.encode().hex().upper().encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16, big-endian": lambda text: text.encode("utf-16-be"),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64, second alignment": lambda text: base64.b64encode(b"x" + text.encode() + b"y"),
    "base64, third alignment": lambda text: base64.b64encode(b"xx" + text.encode()),
    "URL-safe base64": lambda text: base64.urlsafe_b64encode(b"\xff" + text.encode() + b"\xff\xff"),
    "base64 in lines": lambda text: base64.encodebytes(b"x" * 40 + text.encode() + b"y" * 40),
    "JSON in base64": lambda text: base64.b64encode(json.dumps([text]).encode()),
    "hex of JSON": lambda text: json.dumps([text]).encode().hex().encode(),
    "cut by a line's end": lambda text: f"{text[:9]}\n    {text[9:]}".encode(),
    "cut by colours": lambda text: f"{text[:9]}\x1b[1;36m{text[9:]}\x1b[0m".encode(),
}


@pytest.mark.parametrize("canary", [CANARY, STRANGE], ids=["plain", "strange"])
@pytest.mark.parametrize("disguise", DISGUISES)
def test_each_disguise_is_seen_through_and_none_is_repeated(disguise: str, canary: str) -> None:
    hunt = Hunt("canary that is nowhere", canary)
    hunt.look("the place", b"before it " + DISGUISES[disguise](canary) + b" after it")
    assert hunt.findings
    assert all(finding.startswith("the place: canary 2 ") for finding in hunt.findings)
    again = Hunt(canary)
    again.look("what was found", "\n".join(hunt.findings))
    assert again.findings == []


def test_a_table_that_wraps_a_key_hides_nothing() -> None:
    shown = StringIO()
    table = Table(Column("key", overflow="fold"))
    table.add_row(f"sk-or-v1-{CANARY}")
    Console(file=shown, width=20).print(table)
    assert CANARY not in shown.getvalue()
    hunt = Hunt(CANARY)
    hunt.look("a table", shown.getvalue())
    assert len(hunt.findings) == 1


def test_nothing_is_found_where_nothing_is() -> None:
    hunt = Hunt(CANARY)
    hunt.look("noise", secrets.token_bytes(1 << 20))
    hunt.look("pieces", CANARY[:-1] + "?" + CANARY[1:-1])
    assert hunt.findings == []
    assert hunt.looked == {"noise": 1 << 20, "pieces": 2 * len(CANARY) - 2}


@pytest.mark.parametrize("canaries", [(), ("short",)])
def test_a_hunt_for_next_to_nothing_is_refused(canaries: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="canaries"):
        Hunt(*canaries)


def test_files_are_searched_with_their_names_and_across_chunks(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "large").write_bytes(b"." * ((1 << 23) - 5) + CANARY.encode())
    (tmp_path / f"named-{CANARY}").touch()
    (tmp_path / "spared").mkdir()
    (tmp_path / "spared" / "app.env").write_text(CANARY)
    hunt = Hunt(CANARY)
    hunt.look_in_files("folder", tmp_path, except_=[tmp_path / "spared"])
    assert [finding.split(": ")[0] for finding in hunt.findings] == ["folder/deep/large", "names in folder"]


def test_a_database_is_searched_as_a_thief_of_its_backup_would(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE planted (words text, bytes bytea)")
        connection.execute("INSERT INTO planted VALUES (%s, NULL)", (CANARY,))
        connection.execute("INSERT INTO planted VALUES (NULL, %s)", (CANARY.encode(),))
    hunt = Hunt(CANARY)
    hunt.look("dump", dump_postgresql(postgres_url))
    assert [finding.split(": ")[1] for finding in hunt.findings] == [
        "canary 1 in the open",
        "canary 1 in the open, in hex",
    ]


def test_a_broker_is_searched_at_rest_and_in_transit(broker_url: str) -> None:
    hunt = Hunt(CANARY)
    with Redis.from_url(broker_url) as client, Monitor(hunt, broker_url) as monitor:
        for at, plant in enumerate((client.set, client.lpush, client.sadd)):
            plant(f"planted:{at}", f"{CANARY}-{at}")
        client.hset("planted:hash", "field", base64.b64encode(CANARY.encode()))
        client.zadd("planted:sorted", {CANARY: 1.0})
        client.xadd("planted:stream", {"field": CANARY})
        for key in client.scan_iter():
            alone = Hunt(CANARY)
            look_in_redis(alone, "Redis", client, match=key)
            assert alone.findings, key
    assert monitor.lines > 6
    assert any(finding.startswith("the broker's MONITOR") for finding in hunt.findings)


def test_a_snapshot_can_be_searched_once_it_is_not_compressed(broker_url: str) -> None:
    with Redis.from_url(broker_url) as client:
        client.set("planted", 3 * CANARY)
        with uncompressed_rdb(client):
            hunt = Hunt(CANARY)
            hunt.look("DUMP", client.dump("planted") or b"")
    assert hunt.findings


def test_events_are_searched_as_flower_gets_them(broker_url: str) -> None:
    hunt = Hunt(CANARY)
    with Events(hunt, broker_url) as events, Celery("sender", broker=broker_url, set_as_current=False) as app:
        with app.events.default_dispatcher() as dispatcher:
            dispatcher.send("task-failed", uuid="one", exception=f"ValueError('{CANARY}')")
        wait_for(lambda: events.seen["task-failed"], "the event came")
    assert [event["uuid"] for event in events.endings] == ["one"]
    assert hunt.findings


@pytest.mark.parametrize("where", ["cmdline", "environ"])
def test_processes_are_searched_with_their_children(where: str) -> None:
    given = CANARY if where == "cmdline" else "nothing"
    child = f"import sys; print(flush=True); sys.stdin.read() # {given}"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], env={{'GIVEN': sys.argv[1]}})"
    environment = {"PATH": os.environ["PATH"]}
    planted = CANARY if where == "environ" else "nothing"
    with subprocess.Popen(
        [sys.executable, "-c", code, planted], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        hunt = Hunt(CANARY)
        look_at_processes(hunt, "processes", [process.pid])
        process.communicate()
    assert any(finding.startswith(f"processes: {where}") for finding in hunt.findings)
