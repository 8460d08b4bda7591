"""Notices that wait: each by itself up to twenty, and then all as one that names the most important."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tasks.rotation.backlog import DIGEST_ABOVE, Backlog, Waiting
from tasks.rotation.telling import Notice
from tasks.rotation.wording import Level

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def _waiting(position: int, level: Level = Level.INFO, kind: str = "version_active") -> Waiting:
    notice = Notice(kind, level, f"title {position}", f"body {position}")
    return Waiting(position, NOON + timedelta(minutes=position), notice)


def _backlog(*waiting: Waiting) -> Backlog:
    backlog = Backlog(after=0)
    for one in waiting:
        backlog.add(one)
    return backlog


def test_nothing_waits_at_first() -> None:
    backlog = Backlog(after=7)
    assert (backlog.through, backlog.to_tell()) == (7, ())


def test_few_are_told_one_by_one_in_order() -> None:
    few = tuple(_waiting(n) for n in range(1, DIGEST_ABOVE + 1))
    assert _backlog(*few).to_tell() == few


def test_what_is_passed_over_is_dealt_with_and_not_told() -> None:
    backlog = _backlog(_waiting(1))
    backlog.pass_over(9)
    assert backlog.through == 9
    assert [one.position for one in backlog.to_tell()] == [1]


@pytest.mark.parametrize("many", [DIGEST_ABOVE + 1, 5000])
def test_many_are_told_as_one(many: int) -> None:
    backlog = _backlog(*(_waiting(n) for n in range(1, many)), _waiting(many, Level.CRITICAL, "attention_needed"))
    (digest,) = backlog.to_tell()
    assert digest.position == backlog.through == many
    assert digest.notice.level is Level.CRITICAL
    assert digest.notice.title == f"{many} notices since 2026-11-21 12:01 UTC, told as one"
    assert "critical: 1 attention_needed" in digest.notice.body
    assert f"info: {many - 1} version_active" in digest.notice.body
    assert "warning:" not in digest.notice.body
    assert len(digest.notice.body) < 2000


def test_the_most_important_and_of_those_the_newest_are_named() -> None:
    important = [_waiting(2, Level.CRITICAL), _waiting(30, Level.WARNING, "drift_found"), _waiting(40, Level.CRITICAL)]
    backlog = _backlog(*sorted([*important, *(_waiting(n) for n in range(3, 29))], key=lambda one: one.position))
    (digest,) = backlog.to_tell()
    named = [line.rsplit(": ", 1)[1] for line in digest.notice.body.splitlines() if line.startswith("- ")]
    assert named == ["title 40", "title 2", "title 30", *(f"title {n}" for n in range(28, 21, -1))]
