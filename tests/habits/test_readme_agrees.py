"""What the README claims about names, options, codes and files is so in the code."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from tests.habits.house import TOP, text_of
from tests.habits.readme_tables import README, TABLES, settings_table, table_in
from worker.cli import guard
from worker.cli.app import app
from worker.cli.demo.consumer import Consumption
from worker.cli.demo.plan import Plan
from worker.cli.demo.verdict import figures

TEXT = text_of(README)
INLINE = re.compile(r"(?<!`)`(?!`)([^`\n]+)`")


def _table(heading: str) -> str:
    """The text of one section."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"the README has no section {heading!r}"
    return found[1]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_of_the_code(name: str) -> None:
    assert table_in(TEXT, name) == TABLES[name](), "make docs"


def _leaves(command: object, *path: str) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """The path and the options of every command that does something."""
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from _leaves(child, *path, name)
    elif isinstance(command, TyperCommand):
        yield path, {option for one in command.params for option in (*one.opts, *one.secondary_opts)}


COMMANDS = dict(_leaves(get_command(app)))


def test_every_command_is_in_the_table_and_every_command_of_the_table_exists() -> None:
    rows = [row.split("|")[1] for row in _table("Commands").splitlines() if row.startswith("| `")]
    named = {tuple(words) for row in rows for words in _commands_of(row)}
    assert named == set(COMMANDS)


def _commands_of(cell: str) -> Iterator[list[str]]:
    """``rotator db upgrade``, ``check`` are two commands of one group."""
    group: list[str] = []
    for code in INLINE.findall(cell):
        words = code.split()
        if words[0] == "rotator":
            group = words[1:-1]
            yield words[1:]
        else:
            yield [*group, *words]


def _quoted_commands() -> list[str]:
    """Everything in the README that looks like a call of ours, in blocks and in sentences."""
    blocks = "\n".join(re.findall(r"^```bash\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)).replace("\\\n", " ")
    calls = re.findall(r"(?:^|(?<!-u)[ /])(rotator [a-z][^\n#;|>)]*)", blocks, re.MULTILINE)
    return sorted({call.strip() for call in [*calls, *(c for c in INLINE.findall(TEXT) if c.startswith("rotator "))]})


@pytest.mark.parametrize("call", _quoted_commands())
def test_a_call_in_the_text_names_a_command_and_options_that_exist(call: str) -> None:
    words = call.removeprefix("rotator ").partition(" -- ")[0].split()
    named = [path for path in COMMANDS if tuple(words[: len(path)]) == path]
    assert len(named) == 1, f"which command is `{call}`?"
    assert {word for word in words if word.startswith("--")} <= COMMANDS[named[0]] | {"--help"}


def test_every_option_that_is_mentioned_exists_somewhere() -> None:
    ours = set().union(*COMMANDS.values()) | {"--help"}
    mentioned = {word for code in INLINE.findall(TEXT) for word in re.findall(r"(?<![\w-])--[a-z][a-z-]*", code)}
    assert mentioned <= ours, mentioned - ours


def test_the_exit_codes_are_those_of_the_code() -> None:
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", _table("Exit codes"), re.MULTILINE)]
    assert codes == [guard.DONE, guard.FAILED, guard.MISUSE]


def test_the_verdict_is_the_demo_s() -> None:
    plan = Plan.of(3, every_s=5)
    for figure in figures(plan, [], [], Consumption()):
        shown = re.search(rf"^  ok  +\d+ {figure.label} +(.+)$", TEXT, re.MULTILINE)
        assert shown is not None, figure.label
        assert shown[1] == figure.told_by, "capture `make demo` anew"


def test_every_link_leads_somewhere() -> None:
    headings = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in re.findall(r"^#+ (.+)$", TEXT, re.M)}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert target.removeprefix("#") in headings if target.startswith("#") else (TOP / target).exists(), target


def test_every_path_that_is_named_exists() -> None:
    named = re.findall(r"^((?:config|tasks|worker|tests)/[\w/.]*)", TEXT, re.MULTILINE)
    assert named
    assert [path for path in named if not (TOP / path).exists()] == []


def test_every_variable_of_ours_is_a_setting() -> None:
    known = set(re.findall(r"ROTATOR_[A-Z_]+", settings_table()))
    known |= {f"{name}_FILE" for name in known}
    mentioned = set(re.findall(r"ROTATOR_[A-Z][A-Z_]+[A-Z]", TEXT)) - {"ROTATOR_NAME"}
    assert mentioned <= known
