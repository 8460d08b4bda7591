"""The mutations themselves are kept in order: each still applies, and each run tells killed from broken."""

from __future__ import annotations

import shutil
from itertools import chain
from pathlib import Path

import pytest

from tests.mutants.__main__ import MUTATIONS
from tests.mutants.copying import ROOT
from tests.mutants.mutation import DoesNotApply, Edit, Mutation
from tests.mutants.named import NAMED
from tests.mutants.running import Verdict, verdict_of
from tests.mutants.score import ROUNDS, configured, score

THE_TEN = (
    "drop the fence",
    "commit after the POST instead of before",
    "retire before read-back",
    "forget the sweep",
    "retry the POST",
    "skip include_disabled",
    "ignore paging",
    "move wake_at before the commit",
    "disable without a look",
    "lose the hash on a failed delete",
)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_each_still_applies_and_leaves_python(mutation: Mutation, tmp_path: Path) -> None:
    """A module that cannot be imported would go red whatever the tests are worth."""
    for file in {edit.file for edit in mutation.edits}:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    mutation.apply_to(tmp_path)
    for mutated in tmp_path.rglob("*.py"):
        compile(mutated.read_text(encoding="utf-8"), mutated, "exec")


def test_their_names_are_their_own_and_the_ten_are_among_them() -> None:
    names = [mutation.name for mutation in MUTATIONS]
    assert len(set(names)) == len(names)
    assert set(THE_TEN) <= {mutation.name for mutation in NAMED}


def test_every_test_that_they_name_is_written_down() -> None:
    """Whether it is collected, and passes without a mutation, the run itself makes sure of."""
    named = set(chain.from_iterable(mutation.tests for mutation in MUTATIONS))
    for file, _, name in (test.partition("::") for test in named):
        function = name.partition("[")[0]
        assert f"def {function}(" in (ROOT / file).read_text(encoding="utf-8"), function


@pytest.mark.parametrize("text", ["nothing of it", "it is there, it is"], ids=["missing", "twice"])
def test_what_fits_nowhere_or_twice_is_not_made(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("first", encoding="utf-8")
    (tmp_path / "b.py").write_text(text, encoding="utf-8")
    mutation = Mutation("both or none", "", (Edit("a.py", "first", "second"), Edit("b.py", "it is", "it was")), ())
    with pytest.raises(DoesNotApply, match=r"b.py has this \d times"):
        mutation.apply_to(tmp_path)
    assert (tmp_path / "a.py").read_text(encoding="utf-8") == "first"


@pytest.mark.parametrize(
    ("code", "first_failure", "verdict"),
    [
        (0, "", Verdict.SURVIVED),
        (1, "call\ttest_x", Verdict.KILLED),
        (1, "teardown\ttest_x", Verdict.KILLED),
        (1, "setup\ttest_x", Verdict.UNTOLD),
        (1, "timeout\ttest_x", Verdict.UNTOLD),
        (1, "", Verdict.UNTOLD),
        (2, "", Verdict.UNTOLD),
        (4, "", Verdict.UNTOLD),
        (5, "", Verdict.UNTOLD),
        (-1, "call\ttest_x", Verdict.UNTOLD),
    ],
)
def test_only_a_test_that_failed_kills(code: int, first_failure: str, verdict: Verdict) -> None:
    assert verdict_of(code, first_failure) is verdict


def test_every_module_of_the_core_has_its_round_and_every_test_of_a_round_is_there() -> None:
    configurations = [configured(name)["mutmut"] for name in ROUNDS]
    modules = list(chain.from_iterable(c["only_mutate"].split() for c in configurations))
    there = {f"tasks/rotation/{module.name}" for module in (ROOT / "tasks/rotation").glob("*.py")}
    assert sorted(modules) == sorted(there - {"tasks/rotation/__init__.py"})
    tests = chain.from_iterable(c["pytest_add_cli_args_test_selection"].split() for c in configurations)
    assert [test for test in tests if not (ROOT / test).is_file()] == []


def test_the_score_counts_what_the_tests_saw() -> None:
    results = {
        "tasks.rotation.policy.x_a__mutmut_1": "killed",
        "tasks.rotation.policy.x_a__mutmut_2": "survived",
        "tasks.rotation.turn.x_b__mutmut_1": "timeout",
        "tasks.rotation.turn.x_b__mutmut_2": "no tests",
        "tasks.rotation.turn.x_b__mutmut_3": "killed",
    }
    assert [line.split() for line in score(results)] == [
        ["module", "mutants", "seen", "score"],
        ["policy", "2", "1", "50.0%"],
        ["turn", "3", "2", "66.7%"],
        ["in", "all", "5", "3", "60.0%"],
    ]
