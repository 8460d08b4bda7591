"""Programs as their users would write them: the one that the kind shows to people, and one in Python."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

from config.secret import Secret
from tasks.publishers import command
from tests.contract.places.place import Place, Surroundings

EXAMPLE = textwrap.dedent((command.__doc__ or "").partition("an application reads::\n\n")[2].partition("\n\nThere")[0])
"""The program that the kind shows to people."""

KEEPS_JSON = '''\
#!PYTHON -IS
"""Keeps the key in a JSON file, and prints it when asked."""
import fcntl, json, os, sys
from pathlib import Path

FILE = Path("FOLDER/keys.json")
action, told = sys.argv[1], {name: os.environ.get(f"ROTATION_{name}") for name in ("ID", "NAME", "VERSION", "SEQUENCE")}

def newer(held):
    return held.get("ID") == told["ID"] and int(held["SEQUENCE"]) > int(told["SEQUENCE"])

def save(held):
    new = FILE.with_suffix(".new")
    new.write_text(json.dumps(held))
    new.rename(FILE)

with open(f"{FILE}.lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    held = json.loads(FILE.read_text()) if FILE.exists() else {}
    if action == "check":
        sys.exit(0 if os.access(FILE.parent, os.W_OK) else 77)
    elif action == "read-back":
        print(held.get("key", ""))
    elif action == "publish":
        if newer(held):
            sys.exit(3)
        save({**told, "key": sys.stdin.read()})
    elif action == "withdraw":
        if newer(held):
            sys.exit(3)
        if held.get("ID") == told["ID"]:
            save({})
    else:
        sys.exit(64)
'''

SAYS_ALL = '#!/bin/sh\ncat >&2\nenv >&2\necho "$0 $*" >&2\nexit 70\n'


def place(around: Surroundings) -> Iterator[Place]:
    """The example: it prints a digest."""
    yield _example(around.folder, "sha256", EXAMPLE)


def place_none(around: Surroundings) -> Iterator[Place]:
    """The example without what it prints, for a place that cannot be read."""
    lines = [line for line in EXAMPLE.splitlines() if not line.startswith("read-back)")]
    yield _example(around.folder, "none", "\n".join(lines).replace('mv "$key.new" "$key" ', 'mv -v "$key.new" "$key" '))


def place_value(around: Surroundings) -> Iterator[Place]:
    """A program that prints the key."""
    folder = around.folder
    file = folder / "keys.json"
    program = written(
        folder / "publish-key", KEEPS_JSON.replace("PYTHON", sys.executable).replace("FOLDER", str(folder))
    )

    def held() -> dict[str, str]:
        return dict(json.loads(file.read_text())) if file.exists() else {}

    yield Place(
        kind="command",
        target=Secret(f"{program}?read_back=value"),
        credential=token_hex(8),  # it has none
        application_reads=lambda: held().get("key"),
        snapshot=held,
        spoil=lambda: written(program, SAYS_ALL),
        overwrite=lambda value: file.write_text(json.dumps({**held(), "key": value})),
        empty=file.unlink,
        stamped=lambda: held().get("VERSION"),
        tells_strangers=False,
        spares_others=False,
    )


def written(program: Path, text: str) -> Path:
    """A program that may be run. Nobody sees it half written: one that is being written cannot begin."""
    new = program.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o755)
    return new.rename(program)


def _example(folder: Path, read_back: str, text: str) -> Place:
    program = written(folder / "publish-key", text.replace("/srv/app", str(folder)))
    key, stamp = folder / "openrouter-key", folder / "openrouter-key.rotation"
    return Place(
        kind="command",
        target=Secret(f"{program}?read_back={read_back}&place=here"),
        credential=token_hex(8),  # it has none
        application_reads=lambda: key.read_text() if key.exists() else None,
        snapshot=lambda: {file: file.read_bytes() for file in (key, stamp) if file.exists()},
        spoil=lambda: written(program, SAYS_ALL),
        overwrite=key.write_text,
        empty=key.unlink,
        tells_strangers=False,
        spares_others=False,
        shows_values=read_back != "none",
        tells_drift=read_back != "none",
    )
