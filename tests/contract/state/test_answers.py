"""Requests that may come twice, and the answers that are kept for them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tasks.operations import Operations
from tasks.store.answers import CLAIMED_FOR, KEPT_FOR, Answers, Claim, Kept, Other, Running
from tasks.wiring import Rotator
from tests.contract.state.scene import Clock, Rows, at_once

KEY, ASKED = b"k" * 32, b"r" * 32


@pytest.fixture
def answers(rotator: Rotator) -> Answers:
    return rotator.store.answers


@pytest.fixture
def token_id(operations: Operations) -> str:
    return operations.create_token("ops", "operator")[0].id


def _claimed(answers: Answers, token_id: str) -> Claim:
    claim = answers.claim(token_id, KEY, ASKED)
    assert isinstance(claim, Claim)
    return claim


def test_of_many_at_once_one_serves(answers: Answers, token_id: str) -> None:
    found = at_once(8, lambda _: answers.claim(token_id, KEY, ASKED))
    assert sorted(type(f).__name__ for f in found) == ["Claim", *["Running"] * 7]


def test_an_answer_is_kept_for_its_request_alone(answers: Answers, token_id: str, operations: Operations) -> None:
    answers.finish(_claimed(answers, token_id), status=201, body='{"a": "é"}')
    assert answers.claim(token_id, KEY, ASKED) == Kept(201, '{"a": "é"}')
    assert answers.claim(token_id, KEY, b"another") == Other()
    assert isinstance(answers.claim(token_id, b"another", ASKED), Claim)
    other = operations.create_token("other", "operator")[0].id
    assert isinstance(answers.claim(other, KEY, b"another"), Claim), "each token has its own keys"


def test_while_it_is_served_another_request_is_told_apart(answers: Answers, token_id: str) -> None:
    _claimed(answers, token_id)
    assert answers.claim(token_id, KEY, ASKED) == Running()
    assert answers.claim(token_id, KEY, b"another") == Other()


def test_what_is_released_may_be_claimed_again(answers: Answers, token_id: str) -> None:
    answers.release(_claimed(answers, token_id))
    assert isinstance(answers.claim(token_id, KEY, b"another"), Claim)


def test_a_claim_whose_process_died_is_taken_over(answers: Answers, token_id: str, clock: Clock) -> None:
    dead = _claimed(answers, token_id)
    clock.advance(CLAIMED_FOR - timedelta(milliseconds=1))
    assert answers.claim(token_id, KEY, ASKED) == Running()
    clock.advance(timedelta(milliseconds=1))
    heir, *others = sorted(
        at_once(4, lambda _: answers.claim(token_id, KEY, ASKED)), key=lambda found: isinstance(found, Running)
    )
    assert isinstance(heir, Claim)
    assert others == [Running()] * 3
    answers.finish(dead, status=200, body="of the dead")
    answers.release(dead)
    assert answers.claim(token_id, KEY, ASKED) == Running(), "the dead one has no say"
    answers.finish(heir, status=200, body="of the heir")
    assert answers.claim(token_id, KEY, ASKED) == Kept(200, "of the heir")


def test_answers_are_forgotten_after_a_week(answers: Answers, token_id: str, clock: Clock, rows: Rows) -> None:
    answers.finish(_claimed(answers, token_id), status=200, body="{}")
    clock.advance(KEPT_FOR)
    assert answers.claim(token_id, KEY, ASKED) == Kept(200, "{}")
    clock.advance(timedelta(milliseconds=1))
    answers.claim(token_id, b"another", ASKED)
    assert rows.one("SELECT count(*) FROM answers") == 1
