"""``python -m tests.mutants [WORD]...``: make deliberate mistakes, each in a copy, and see a test go red.

With words, only the mutations whose names have one of them. Exit code 0 when every mutation was killed by a test that
failed, 1 when one survived, could not be made, or broke its tests instead of failing them.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.at_the_borders import AT_THE_BORDERS
from tests.mutants.copying import copy_project, workplace
from tests.mutants.in_telling import IN_TELLING
from tests.mutants.in_the_core import IN_THE_CORE
from tests.mutants.in_the_store import IN_THE_STORE
from tests.mutants.mutation import DoesNotApply, Mutation
from tests.mutants.named import NAMED
from tests.mutants.running import Outcome, Verdict, run_mutated, run_tests

MUTATIONS = (*NAMED, *IN_THE_CORE, *IN_THE_STORE, *IN_TELLING, *AT_THE_BORDERS)


def main(arguments: list[str]) -> int:
    """Run what was asked for; the exit code."""
    asked = _parsed(arguments)
    chosen = [m for m in MUTATIONS if not asked.words or any(word in m.name for word in asked.words)]
    began = time.monotonic()
    with workplace() as folder:
        outcomes = _outcomes(chosen, folder, asked.jobs)
    killed = sum(outcome is not None and outcome.verdict is Verdict.KILLED for outcome in outcomes)
    print(f"{killed} of {len(chosen)} mutations killed, in {time.monotonic() - began:.0f} s")
    return 0 if chosen and killed == len(chosen) else 1


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=(__doc__ or "").partition("\n\n")[2])
    parser.add_argument("words", nargs="*", metavar="WORD", help="part of a mutation's name")
    parser.add_argument("--jobs", type=int, default=2, help="how many to run at a time (default 2)")
    return parser.parse_args(arguments)


def _outcomes(chosen: list[Mutation], folder: Path, jobs: int) -> list[Outcome | None]:
    """Each mutation's outcome, told as it comes; nothing when the tests fail without any mutation."""
    base = copy_project(folder / "base")
    every = sorted({test for mutation in chosen for test in mutation.tests})
    with ThreadPoolExecutor(jobs) as pool:
        unmutated = pool.submit(run_tests, every, Path(shutil.copytree(base, folder / "unmutated")))
        pending = [pool.submit(_outcome, m, base, folder / f"mutated-{n}") for n, m in enumerate(chosen)]
        if (plain := unmutated.result()).verdict is not Verdict.SURVIVED:
            pool.shutdown(cancel_futures=True)
            print(f"The tests fail without any mutation:\n{plain.said}")
            return []
        print(f"{len(every)} tests pass unmutated, in {plain.seconds:.1f} s")
        print(f"{'':8}  {'seconds':>7}  {'mutation':51}  killed by")
        return [_told(mutation, future.result()) for mutation, future in zip(chosen, pending, strict=True)]


def _outcome(mutation: Mutation, base: Path, copy: Path) -> Outcome | DoesNotApply:
    try:
        return run_mutated(mutation, base, copy)
    except DoesNotApply as error:
        return error


def _told(mutation: Mutation, outcome: Outcome | DoesNotApply) -> Outcome | None:
    if isinstance(outcome, DoesNotApply):
        print(f"{'MISFIT':8}  {'':7}  {mutation.name:51}  {outcome}", flush=True)
        return None
    line = f"{outcome.verdict.value:8}  {outcome.seconds:7.1f}  {mutation.name:51}  {outcome.killed_by}".rstrip()
    print(line, flush=True)
    if outcome.verdict is not Verdict.KILLED:
        print(
            f"    {mutation.hurts}\n    None of these saw it: {', '.join(mutation.tests)}\n{outcome.said}", flush=True
        )
    return outcome


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
