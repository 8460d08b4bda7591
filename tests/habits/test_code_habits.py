"""Habits of the code that no linter knows. Each exception stands here with its reason, and goes when it is not used."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.habits.house import PRODUCT, comments_of, functions_of, name_of, python_files, text_of, tree_of

MOST_MODULE_LINES = 400
MOST_BODY_LINES = 40

REVEALS = {
    "config/master_key.py": "parses the ring, and writes its file",
    "config/secret.py": "compares two in constant time",
    "config/settings.py": "looks at a URL's scheme, and completes it",
    "tasks/notices/apprise.py": "gives an address to Apprise, to connect",
    "tasks/operations/destinations.py": "takes KIND:TARGET apart, to hand the target on",
    "tasks/providers/openrouter/client.py": "sends it to OpenRouter",
    "tasks/providers/openrouter/looks.py": "digests it, to tell accounts apart",
    "tasks/providers/openrouter/wire.py": "checks a new key's form, and cuts the key out of messages",
    "tasks/publishers/_shared/checks.py": "refuses a key that a destination would garble",
    "tasks/publishers/_shared/fingerprint.py": "digests it, for receipts",
    "tasks/publishers/_places/program/faults.py": "cuts it out of what a program said",
    "tasks/store/cipher.py": "encrypts it",
    "tasks/store/database.py": "the database's URL, to connect",
    "tasks/store/drafts.py": "reads the fields of a draft that it sealed",
    "tasks/store/sealed.py": "compares the value that proves the master key",
    "worker/app.py": "the broker's URL, to connect",
    "worker/broker.py": "the broker's URL, to connect",
    "worker/cli/child.py": "puts it in the environment of the command that `rotator run` starts",
    "worker/cli/demo/consumer.py": "the demo's application, which uses the key",
    "worker/cli/secret.py": "prints it: this is what `rotator secret get` is for",
    "worker/cli/token.py": "prints a new token: this is what `rotator token create` is for",
    "worker/cli/upkeep.py": "prints a new master key: this is what `rotator master-key generate` is for",
    "worker/web/access/sessions.py": "gives a session's cookie to the browser, and nowhere else",
    "worker/web/api/secret.py": "writes it into the answer: this is what the route is for",
    "worker/web/infisical/rotations.py": "answers with it: this is what `generated-credentials` is for",
    "worker/web/console/showing.py": "shows it to the admin who asked",
    "worker/web/console/wizard.py": "puts a destination into the sealed draft",
    "worker/flower.py": "Flower's password, to hand it to Flower",
}
ENVIRONMENT = {
    "config/environment.py": "reads the credential that a destination refers to by name",
    "config/settings.py": "reads the settings",
    "worker/cli/demo/stage.py": "hands it on to the processes of the demo",
    "worker/cli/process.py": "hands it on to the processes of `rotator up`",
    "worker/cli/run.py": "hands it on to the command of `rotator run`",
}
SUPPRESSION = re.compile(
    r"#\s*(?P<what>noqa|type:\s*ignore|pragma:\s*no\s*(?:cover|branch))"
    r"(?P<codes>(?::\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*|\[[a-z, -]+\])?)(?P<rest>.*)"
)


def test_a_module_has_one_idea() -> None:
    long = {name_of(path): n for path in python_files(*PRODUCT) if (n := text_of(path).count("\n")) > MOST_MODULE_LINES}
    assert not long, f"more than {MOST_MODULE_LINES} lines, so which two ideas are in it? {long}"


def test_a_function_decides_or_acts() -> None:
    """Migrations are written once, from top to bottom, and never changed."""
    written = [path for path in python_files(*PRODUCT) if "versions" not in path.parts]
    bodies = {f"{name_of(path)}:{f.lineno} {f.name}": _body_lines(f) for path in written for f in functions_of(path)}
    long = {name: lines for name, lines in bodies.items() if lines > MOST_BODY_LINES}
    assert not long, f"bodies of more than {MOST_BODY_LINES} lines: {long}"


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines that do something: a command's signature lists its options, and its docstring is its help."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_key_text_comes_out_only_where_it_is_sent() -> None:
    """A kind of destination sends keys by its nature."""
    kinds = {name_of(path) for path in python_files("tasks/publishers") if path.parent.name == "publishers"}
    _same(_files_with(re.compile(r".*\.reveal", re.DOTALL).fullmatch) - kinds, REVEALS, "reveals a Secret")


def test_the_environment_is_read_by_the_settings_alone() -> None:
    _same(_files_with(re.compile(r"os\.(environb?|getenv|putenv)").fullmatch), ENVIRONMENT, "touches the environment")


def test_every_exception_to_a_rule_names_the_rule_and_the_reason() -> None:
    faults = _comments(python_files(*PRODUCT, "tests"), lambda text: not _is_reasoned(text))
    assert not faults, f"write `# noqa: CODE - reason` or `# type: ignore[code]  # reason`: {faults}"


def _is_reasoned(comment: str) -> bool:
    """Whether each suppression in a comment has a code and, somewhere after it, words."""
    return all(
        (found["codes"] or found["what"].startswith("pragma")) and re.search(r"[a-z]{3}", found["rest"])
        for found in SUPPRESSION.finditer(comment)
    )


@pytest.mark.parametrize(
    ("comment", "reasoned"),
    [
        ("# noqa: S603 - our own modules", True),
        ("# noqa: PLW1509, S603 - one thread", True),
        ("# type: ignore[misc]  # celery ships no types", True),
        ("# a comment about anything", True),
        ("# noqa: S603", False),
        ("# noqa", False),
        ("# noqa - because", False),
        ("# type: ignore[misc]", False),
        ("# type: ignore  # because", False),
        ("# pragma: no cover", False),
    ],
)
def test_the_rule_for_reasons_tells_them_from_none(comment: str, reasoned: bool) -> None:
    assert _is_reasoned(comment) is reasoned


def test_nothing_is_left_for_later() -> None:
    left = _comments(python_files(*PRODUCT), lambda text: re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text) is not None)
    assert not left


def test_the_core_asks_no_clock() -> None:
    """``now`` is given to it: the database's, which all workers share."""
    clocks = re.compile(r"(datetime|date|time)\.(now|utcnow|today|time|monotonic|sleep)")
    core = python_files("tasks/rotation")
    asked = [f"{name_of(p)}:{n.lineno}" for p in core for n in _attributes(p) if clocks.fullmatch(ast.unparse(n))]
    assert not asked


def _comments(paths: Iterable[Path], wanted: Callable[[str], bool]) -> list[str]:
    return [f"{name_of(path)}:{line} {text}" for path in paths for line, text in comments_of(path) if wanted(text)]


def _attributes(path: Path) -> Iterator[ast.Attribute]:
    return (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Attribute))


def _files_with(attribute: Callable[[str], object]) -> set[str]:
    return {name_of(p) for p in python_files(*PRODUCT) if any(attribute(ast.unparse(n)) for n in _attributes(p))}


def _same(found: Iterable[str], allowed: Iterable[str], what: str) -> None:
    strays, stale = set(found) - set(allowed), set(allowed) - set(found)
    assert not strays, f"{what}, and must not: {sorted(strays)}"
    assert not stale, f"is listed as one that {what}, and does not any more: {sorted(stale)}"
