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
        (1, "", Verdict.UNTOLD),
        (2, "", Verdict.UNTOLD),
        (4, "", Verdict.UNTOLD),
        (5, "", Verdict.UNTOLD),
        (-1, "call\ttest_x", Verdict.UNTOLD),
    ],
)
def test_only_a_test_that_failed_kills(code: int, first_failure: str, verdict: Verdict) -> None:
    assert verdict_of(code, first_failure) is verdict
