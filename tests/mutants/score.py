"""``python -m tests.mutants.score``: mutmut's small mistakes in ``tasks/rotation``, and how many of them the tests see.

It works in a copy of the project and leaves nothing behind. Exit code 0 unless mutmut could not do its work: the score
is there to be read, and the survivors with it.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from configparser import ConfigParser
from pathlib import Path
from typing import Final

from tests.mutants.copying import copy_project, workplace

CONFIGURATION: Final = Path(__file__).with_name("mutmut.cfg")
ROUNDS: Final = ("rules", "steps", "telling")
TOOLS: Final = Path(sys.prefix) / "mutants"
"""Where `make` puts mutmut and what it needs: apart from the product, since Celery would use some of it."""
_RESULT: Final = re.compile(r"^\s+(?P<name>(?P<module>tasks\.rotation\.\w+)\.\S+): (?P<status>.+)$", re.MULTILINE)
_SEEN: Final = frozenset({"killed", "timeout", "segfault"})


class MutmutFailed(Exception):
    """mutmut ended before its work was done."""


def main(arguments: list[str]) -> int:
    """Run the rounds, and print the score; the exit code."""
    asked = _parsed(arguments)
    results: dict[str, str] = {}
    with workplace() as folder:
        for name in asked.rounds or ROUNDS:
            try:
                results |= _round(name, copy_project(folder / name), asked)
            except MutmutFailed as failure:
                print(f"mutmut failed in the round of the {name}:\n{failure}")
                return 1
    print("\n".join(score(results)))
    return 0


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants.score")
    parser.add_argument("rounds", nargs="*", metavar="ROUND", help=f"one of {', '.join(ROUNDS)} (default: all)")
    parser.add_argument("--jobs", type=int, default=2, help="how many to run at a time (default 2)")
    parser.add_argument("--sample", type=int, metavar="N", help="only so many of each round, chosen by the seed")
    parser.add_argument("--seed", type=int, default=1, help="which sample (default 1)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only mutants whose names have this text")
    return parser.parse_args(arguments)


def configured(name: str) -> ConfigParser:
    """What mutmut reads in this round."""
    read, written = ConfigParser(), ConfigParser()
    read.read(CONFIGURATION, encoding="utf-8")
    written["mutmut"] = {**read["mutmut"], **read[name]}
    return written


def _round(name: str, tree: Path, asked: argparse.Namespace) -> Mapping[str, str]:
    """One round: each mutant's name and what became of it."""
    with (tree / "setup.cfg").open("w", encoding="utf-8") as file:
        configured(name).write(file)
    chosen: list[str] = []
    if asked.sample is not None or asked.only:
        _mutmut(tree, "run", "--max-children", "1", "no.such.mutant")
        every = sorted(n for n in _statuses(tree) if asked.only in n)
        size = len(every) if asked.sample is None else min(asked.sample, len(every))
        chosen = sorted(random.Random(asked.seed).sample(every, size))
    _mutmut(tree, "run", "--max-children", str(asked.jobs), *chosen)
    statuses = {n: status for n, status in _statuses(tree).items() if not chosen or n in chosen}
    for survivor in sorted(n for n, status in statuses.items() if status not in _SEEN):
        print(f"--- {survivor}: {statuses[survivor]}\n{_changed(_mutmut(tree, 'show', survivor))}", flush=True)
    return statuses


def _mutmut(tree: Path, *command: str) -> str:
    """What mutmut printed. Its own progress goes to the screen where there is one."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ROTATOR_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", *command],
        cwd=tree,
        env=inherited | {"PYTHONPATH": str(TOOLS), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0 and "no.such.mutant" not in command:
        raise MutmutFailed(done.stdout[-3000:])
    return done.stdout


def _statuses(tree: Path) -> Mapping[str, str]:
    listed = _mutmut(tree, "results", "--all", "true")
    return {found["name"]: found["status"] for found in _RESULT.finditer(listed)}


def _changed(diff: str) -> str:
    """The changed lines of a diff."""
    lines = [line for line in diff.splitlines() if line[:1] in {"-", "+"} and line[:3] not in {"---", "+++"}]
    return "\n".join(f"    {line}" for line in lines)


def score(results: Mapping[str, str]) -> Iterable[str]:
    """The lines of the score: for each module and in all, how many mutants there were and how many were seen."""
    modules = {name: name.split(".")[2] for name in results}
    made = Counter(modules.values())
    seen = Counter(modules[name] for name, status in results.items() if status in _SEEN)
    yield f"{'module':14}  {'mutants':>7}  {'seen':>5}  {'score':>6}"
    for module in sorted(made):
        yield f"{module:14}  {made[module]:7}  {seen[module]:5}  {seen[module] / made[module]:6.1%}"
    total = max(1, made.total())
    yield f"{'in all':14}  {made.total():7}  {seen.total():5}  {seen.total() / total:6.1%}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
