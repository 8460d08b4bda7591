"""Every command of ``rotator`` with every option, done well and badly, logging at debug: no key in what it prints."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis import Redis
from typer.main import get_command
from typer.testing import CliRunner

from config.settings import settings
from tasks.providers.openrouter.emulator import Account, EmulatorServer, Fault, FaultKind
from tests.leaks.hunt import Hunt
from worker.cli.app import app

CANARY = f"canary{secrets.token_hex(8)}"
MANAGEMENT_KEY = f"emulator-{CANARY}-management"
KEY_LIKE = f"sk-or-v1-{CANARY}{secrets.token_hex(16)}"
"""What somebody may put where no key belongs."""
ELSEWHERE = {
    "demo": "needs half a minute; test_demo looks for keys in what it prints, and finds its folder gone",
    "up": "runs until it is stopped; worker, beat and Flower are searched in test_leaks_processes",
    "serve": "runs until it is stopped, in a process of its own; test_serve searches what it prints",
    "emulator": "runs until it is stopped; it prints nothing but its address",
    "watch": "runs until it is stopped; it prints events and rotations, as status and history do",
}
"""Not searched here, and why."""
MAKES_TOKENS = (
    "token create shop --role consumer --rotation web --expires 90d",
    "token create ci --role operator --json",
)
PRINTS_KEYS = ("secret get web", *MAKES_TOKENS)
"""What a person asks for a key or a token with; `run` gives the key to its command alone."""


@dataclass(frozen=True)
class Call:
    """One command line, what comes in on stdin, and how it ends."""

    words: str
    stdin: str = ""
    code: int = 0


ADDRESS = f"json://user:{CANARY}@127.0.0.1:1/{CANARY}"
CREATE = "rotation create {name} --connection prod --key-name web"
LIFE = (
    Call("db upgrade"),
    Call("db check"),
    Call("master-key generate"),
    Call("connection create prod --description ours --api-key-stdin --json", MANAGEMENT_KEY),
    Call("connection create other --api-key-file {key_file}"),
    Call("connection create prod --api-key-stdin", MANAGEMENT_KEY, 2),
    Call("connection create third --api-key-stdin", KEY_LIKE, 1),
    Call("connection create third --api-key-file {two_keys}", code=1),
    Call("connection list"),
    Call("connection list --json"),
    Call("connection show prod"),
    Call("connection show prod --json"),
    Call("connection check prod"),
    Call("connection check prod --json"),
    Call("connection update prod --new-key --api-key-stdin --json", MANAGEMENT_KEY),
    Call("connection update prod --new-key --api-key-stdin", KEY_LIKE, 1),
    Call("connection update prod --api-key-file {key_file} --description theirs"),
    Call("connection update prod --rename staging"),
    Call("connection update staging --rename prod --json"),
    Call("connection delete other", code=2),
    Call("connection delete other --yes"),
    Call(
        CREATE.format(name="web") + " --limit 5 --limit-reset monthly --include-byok-in-limit --every 30d --at 03:00"
        " --timezone UTC --window 1h --overlap 1h --cooling 1h --secret-name KEY --publish dotenv:{folder}/app.env"
        " --initial --json"
    ),
    Call(
        CREATE.format(name="cron") + " --exclude-byok-from-limit --cron {cron} --expires-after 90d --no-initial --yes"
    ),
    Call(
        CREATE.format(name="placed") + " --every 30d --no-initial --yes --workspace-id {workspace}"
        " --publish-optional dotenv:{folder}/placed.env --on-drift report"
    ),
    Call("rotation create adopted --connection prod --every 30d --yes --description ours --adopt-hash {adopted}"),
    Call("rotation create wrong --connection prod --every 30d --yes --adopt-hash " + KEY_LIKE, code=2),
    Call(CREATE.format(name="wrong") + " --every 30d --yes --publish redis:redis://u:" + CANARY + "@[#k", code=2),
    Call(
        CREATE.format(name="wrong") + " --every 30d --yes --publish redis:redis://u:" + CANARY + "@127.0.0.1:1/0#k",
        code=1,
    ),
    Call(CREATE.format(name="cached") + " --every 30d --yes --initial --publish {redis}"),
    Call("rotate cached --local --wait"),
    Call("rotation show cached"),
    Call("rotate web --local --wait"),
    Call("rotate web --local --wait --json --yes"),
    Call("rotate web --dry-run"),
    Call("rotate web --dry-run --json"),
    Call("rotate --all --yes --local --wait"),
    Call("rotate web --emergency --yes --local --wait"),
    Call("rotate web --local --wait"),
    Call("undo web --local --wait --json"),
    Call("rotate web"),
    Call("rotate web --local --wait"),
    Call("rotation list"),
    Call("rotation list --json"),
    Call("rotation show web"),
    Call("rotation show web --json"),
    Call("rotation history web"),
    Call("rotation history web --json"),
    Call(
        "rotation update web --key-name new --limit 6 --limit-reset weekly --exclude-byok-from-limit --expires-after"
        " 90d --every 10d --at 04:00 --timezone UTC --window 1h --overlap 2h --cooling 2h"
        " --publish dotenv:{folder}/two.env --json"
    ),
    Call("rotation update web --no-limit --no-expiry --cron {cron} --unpublish dotenv:{folder}/two.env --withdraw"),
    Call("rotation update web --limit 6 --include-byok-in-limit"),
    Call("rotation update web --no-limit-reset"),
    Call("rotation update web --rename shop --description theirs"),
    Call("rotation update shop --rename web --json"),
    Call("rotation publish web dotenv:{folder}/three.env --optional --on-drift report --json"),
    Call("rotation publish web dotenv:{folder}/three.env --required"),
    Call("rotation publish web --destination-stdin", f"redis:redis://u:{CANARY}@[#k", 2),
    Call("rotation publish web --destination-file {key_file}", code=2),
    Call("rotation check-destination web"),
    Call("rotation check-destination web --json"),
    Call("rotation unpublish web dotenv:{folder}/three.env --withdraw --json"),
    Call("notify add team --url-stdin --test --json", ADDRESS, 1),
    Call("notify add ops --url-stdin --level warning --rotation web", ADDRESS),
    Call("notify add more --url-file {key_file}", code=2),
    Call("notify list"),
    Call("notify list --json"),
    Call("notify test ops", code=1),
    Call("notify test ops --json", code=1),
    Call("notify update ops --new-url --url-stdin --level info --all-rotations --json", ADDRESS),
    Call("notify update ops --rotation web"),
    Call("notify update ops --new-url --url-file {key_file}", code=2),
    Call("rotation pause web --json"),
    Call("rotation resume web --json"),
    Call("status"),
    Call("status --json"),
    Call("doctor", code=1),
    Call("doctor --json", code=1),
    Call("doctor --live", code=1),
    Call("doctor --ready", code=1),
    Call("reconcile"),
    Call("reconcile prod --json"),
    Call("secret get web"),
    Call("run --rotation web --signal HUP --poll 1 --grace 1 -- true"),
    Call("run --rotation web -- {missing}", code=127),
    *(Call(words) for words in MAKES_TOKENS),
    Call("token create ci --role admin", code=2),
    Call("token create else --role " + KEY_LIKE, code=2),
    Call("token create else --role consumer --rotation " + KEY_LIKE, code=2),
    Call("token list"),
    Call("token list --json"),
    Call("token revoke shop"),
    Call("token revoke shop", code=2),
    Call("master-key rotate"),
    Call("rotation delete cron --keep-keys --yes"),
    Call("notify remove ops"),
    Call("rotation delete web --revoke-keys --withdraw --yes --local"),
)
REFUSED = (
    Call("rotate cached --local --wait", code=1),
    Call("rotation show cached"),
    Call("rotation show cached --json"),
    Call("rotate cached --dry-run --json"),
    Call("rotation history cached"),
    Call("rotation update cached --publish {redis}", code=1),
    Call("status --json"),
    Call("doctor", code=1),
    Call("rotation delete cached --revoke-keys --yes --local"),
    Call("db downgrade", code=-1),
)
"""What a person may do once a destination refuses its credential."""


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, set[str]]]:
    """Every command with its options, each by its first name."""
    inner = getattr(command, "commands", None)
    for name, sub in (inner or {}).items():
        yield from _commands(sub, (*path, name))
    if inner is None:
        options = [p for p in command.params if p.param_type_name == "option" and "--help" not in p.opts]
        yield " ".join(path), {name for p in options for name in (p.opts[0], *p.secondary_opts[:1])}


COMMANDS = dict(_commands(get_command(app)))


def test_no_command_and_no_option_is_left_out() -> None:
    for command, options in COMMANDS.items():
        used = {word for call in LIFE + REFUSED for word in call.words.split() if _command_of(call) == command}
        assert command in ELSEWHERE or used, f"`rotator {command}` has no case here"
        assert command in ELSEWHERE or not options - used, f"`rotator {command}` has options without a case"


def _command_of(call: Call) -> str:
    return max((name for name in COMMANDS if f"{call.words} ".startswith(f"{name} ")), key=len)


class Shell:
    """Types commands in this process, each with the logs of its own in what it prints, console and JSON in turn."""

    def __init__(self, hunt: Hunt, places: dict[str, str], patched: pytest.MonkeyPatch) -> None:
        self.hunt = hunt
        self.surprises: list[str] = []
        """Commands that ended otherwise than meant, so that they may have printed less than they could."""
        self._places, self._patched, self._typed = places, patched, 0

    def type(self, call: Call) -> None:
        self._typed += 1
        self._patched.setenv("ROTATOR_LOG_FORMAT", ("console", "json")[self._typed % 2])
        words = [word.format(**self._places) for word in call.words.split()]
        settings.cache_clear()
        done = CliRunner().invoke(app, words, input=call.stdin, prog_name="rotator")
        if call.code not in {done.exit_code, -1}:
            self.surprises.append(f"{call.words}: {done.exit_code} {done.stderr[-300:]} {done.exception!r}")
        self.hunt.look(f"stderr of {call.words}", done.stderr)
        self.hunt.look(f"stdout of {call.words}", "" if call.words in PRINTS_KEYS else done.stdout)
        if call.words in PRINTS_KEYS and CANARY not in done.stdout:
            self.surprises.append(f"{call.words} printed no key")


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    with EmulatorServer(Account(canary=CANARY)) as server:
        yield server


@dataclass(frozen=True)
class Cache:
    """A Redis user with a password of its own, as a destination."""

    admin: Redis
    user: str
    target: str

    def refuse(self) -> None:
        self.admin.acl_setuser(self.user, enabled=False)


@pytest.fixture
def cache(redis_url: str) -> Iterator[Cache]:
    name = f"rotator-leaks-{secrets.token_hex(8)}"
    with Redis.from_url(redis_url) as admin:
        admin.acl_setuser(name, enabled=True, passwords=[f"+{CANARY}"], keys=["*"], channels=["*"], commands=["+@all"])
        place = urlsplit(redis_url)
        yield Cache(
            admin, name, f"redis:redis://{name}:{CANARY}@{place.hostname}:{place.port}{place.path or '/0'}#{name}"
        )
        admin.delete(name, f"{{{name}}}:rotation")
        admin.acl_deluser(name)


@pytest.fixture
def shell(tmp_path: Path, emulator: EmulatorServer, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A shell whose commands share a fresh installation."""
    for name in [name for name in os.environ if name.startswith("ROTATOR_")]:
        monkeypatch.delenv(name)
    given = {"DATA_DIR": str(tmp_path / "data"), "OPENROUTER_BASE_URL": emulator.base_url, "LOG_LEVEL": "debug"}
    for name, value in given.items():
        monkeypatch.setenv(f"ROTATOR_{name}", value)
    random = secrets.token_urlsafe
    monkeypatch.setattr("tasks.store.tokens.secrets.token_urlsafe", lambda size: f"{CANARY}{random(size)}")
    (tmp_path / "key").write_text(MANAGEMENT_KEY)
    (tmp_path / "keys").write_text(f"{MANAGEMENT_KEY}\n{KEY_LIKE}")
    _, adopted = emulator.account.mint("by hand")
    places = {
        "folder": str(tmp_path),
        "key_file": str(tmp_path / "key"),
        "two_keys": str(tmp_path / "keys"),
        "missing": str(tmp_path / "no-such-program"),
        "adopted": adopted,
        "cron": "0 3 1 * *",
        "redis": cache.target,
        "workspace": emulator.account.default_workspace_id,
    }
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield Shell(Hunt(CANARY), places, monkeypatch)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    settings.cache_clear()


@pytest.mark.timeout(300)
def test_no_command_prints_a_key_but_the_one_that_is_asked_to(shell: Shell, cache: Cache, tmp_path: Path) -> None:
    for call in LIFE:
        shell.type(call)
    cache.refuse()
    for call in REFUSED:
        shell.type(call)
    assert shell.surprises == []
    assert sum(size > 0 for size in shell.hunt.looked.values()) > len(LIFE + REFUSED)
    assert shell.hunt.findings == []
    shell.hunt.look_in_files("data folder", tmp_path / "data")
    assert shell.hunt.findings == []


@pytest.mark.timeout(300)
def test_no_command_repeats_a_key_that_stands_where_none_belongs(shell: Shell) -> None:
    """Neither as a name nor as the value of any option."""
    for command, options in COMMANDS.items():
        for option in sorted(options) if command not in ELSEWHERE else ():
            shell.type(Call(f"{command} {KEY_LIKE} {option} {KEY_LIKE}", code=-1))
            shell.type(Call(f"{command} {KEY_LIKE} {option}={KEY_LIKE} --json --yes", code=-1))
    assert shell.hunt.findings == []


@pytest.mark.parametrize("body", [MANAGEMENT_KEY, f'{{"error": {{"message": "no {KEY_LIKE}"}}}}'], ids=["text", "JSON"])
def test_no_command_repeats_a_key_that_openrouter_sends_in_an_error(
    shell: Shell, emulator: EmulatorServer, body: str
) -> None:
    for status in (400, 401, 403, 409, 422, 500):
        emulator.faults.add(Fault(kind=FaultKind.STATUS, status=status, body=body))
        shell.type(Call("connection create prod --api-key-stdin --json", MANAGEMENT_KEY, 1))
        emulator.faults.clear()
    assert shell.surprises == []
    assert shell.hunt.findings == []
