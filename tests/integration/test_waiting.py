"""`--wait` on a real engine: its exit code is the truth about the version that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tasks.operations.views import RotateAnswer
from tests.steered.installation import Installation, copied, make_template
from worker.cli.guard import DONE, FAILED
from worker.cli.progress import follow
from worker.cli.rotate import Waiting

WAIT = Waiting(wait=True, local=True)
UNDO = Waiting(wait=True, local=True, undo=True)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    """A rotation at rest; whoever waits lets a minute pass between two looks."""
    with copied(make_template(tmp_path / "template"), tmp_path / "folder") as installation:
        installation.create(overlap="24h", cooling="24h")
        installation.run_until_rest()
        monkeypatch.setattr("time.sleep", lambda _s: installation.clock.move(timedelta(minutes=1)))
        yield installation


def _refused(installation: Installation, times: int) -> RotateAnswer:
    """A rotation whose key OpenRouter refuses so often that it is given up, and deleted within one advance."""
    installation.fail("status", "GET", "/key", status=401, times=times)
    return installation.operations.rotate("web")


def test_a_version_that_was_given_up_is_not_done_and_its_replacement_is_followed(
    installed: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = _refused(installed, times=4)
    installed.run_for(timedelta(hours=2))
    assert installed.states() == {"web": ["retiring", "deleted", "active"]}
    assert follow(installed.operations, answer, WAIT) == DONE
    told = capsys.readouterr().err
    assert "web v2 was given up: " in told
    assert "version 3 takes its place" in told
    assert told.endswith("web v3: active\n")


def test_it_fails_when_no_replacement_comes_into_service(
    installed: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    assert follow(installed.operations, _refused(installed, times=1000), WAIT) == FAILED
    assert "error: web: " in capsys.readouterr().err
    assert installed.active().number == 1


def test_a_version_that_an_undo_cancelled_has_failed(
    installed: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    follow(installed.operations, installed.operations.rotate("web"), WAIT)
    answer = installed.operations.rotate("web")
    installed.operations.undo("web")
    installed.advance("web")
    assert follow(installed.operations, answer, WAIT) == FAILED
    assert "an undo to version 1 took its place" in capsys.readouterr().err


def test_a_version_that_was_in_service_and_is_replaced_already_is_done(installed: Installation) -> None:
    first = installed.operations.rotate("web")
    installed.advance("web")
    installed.operations.rotate("web")
    installed.advance("web")
    assert follow(installed.operations, first, WAIT) == DONE


def test_an_emergency_is_done_when_the_older_keys_are_deleted(installed: Installation) -> None:
    installed.fail("status", "DELETE", "*", status=500, times=2)
    answer = installed.operations.rotate("web", emergency=True)
    assert follow(installed.operations, answer, Waiting(wait=True, local=True, emergency=True)) == DONE
    assert installed.states() == {"web": ["deleted", "active"]}


def test_an_undo_is_done_when_the_previous_key_is_active_again(installed: Installation) -> None:
    follow(installed.operations, installed.operations.rotate("web"), WAIT)
    assert follow(installed.operations, installed.operations.undo("web"), UNDO) == DONE
    assert installed.active().number == 1


def test_an_undo_that_ended_before_the_first_look_and_was_replaced_is_done(installed: Installation) -> None:
    follow(installed.operations, installed.operations.rotate("web"), WAIT)
    answer = installed.operations.undo("web")
    installed.advance("web")
    installed.operations.rotate("web")
    installed.advance("web")
    assert follow(installed.operations, answer, UNDO) == DONE


def test_an_undo_whose_key_is_refused_has_failed(installed: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    follow(installed.operations, installed.operations.rotate("web"), WAIT)
    installed.fail("status", "GET", "/key", status=401, times=4)
    assert follow(installed.operations, installed.operations.undo("web"), UNDO) == FAILED
    assert "error: web v1 could not be brought back: " in capsys.readouterr().err
    assert installed.active().number == 2


def test_an_undo_that_gives_way_to_a_rotation_has_failed(installed: Installation) -> None:
    follow(installed.operations, installed.operations.rotate("web"), WAIT)
    answer = installed.operations.undo("web")
    installed.operations.rotate("web")
    assert follow(installed.operations, answer, UNDO) == FAILED
