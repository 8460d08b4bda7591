"""Mistakes in telling people: what would be lost, told again and again, or told to the wrong ones."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutation import Edit, Mutation

_NOTIFYING: Final = "tasks/rotation/notifying.py"
_OUTBOX: Final = "tasks/store/outbox.py"
_APPRISE: Final = "tasks/notices/apprise.py"

_CORE: Final = "tests/unit/test_notifying.py"
_STATE: Final = "tests/contract/state/test_notices.py"
_SENDING: Final = "tests/unit/test_told_by_apprise.py"

IN_TELLING: Final = (
    Mutation(
        "take a notice for told that was not taken",
        "Whatever happens while a service is away is never told.",
        (
            Edit(
                _NOTIFYING,
                "            if not self._is_taken(claimed, waiting):\n                return taken\n",
                "            self._is_taken(claimed, waiting)\n",
            ),
        ),
        (f"{_CORE}::test_one_that_fails_is_put_off_and_the_others_are_told",),
    ),
    Mutation(
        "tell of each retry",
        "An outage sends a message every few minutes, and nobody reads the one that matters.",
        (Edit("tasks/rotation/telling.py", '.get("attempt") == "1"', '.get("attempt") != "0"'),),
        ("tests/unit/test_telling.py::test_a_failure_is_told_once_and_not_at_each_retry",),
    ),
    Mutation(
        "tell a flood one by one",
        "Whoever was away for days gets a message for each of them.",
        (Edit("tasks/rotation/backlog.py", "<= DIGEST_ABOVE:\n            return", "<= 10**9:\n            return"),),
        ("tests/unit/test_backlog.py::test_many_are_told_as_one",),
    ),
    Mutation(
        "tell past an event that is not committed yet",
        "It is never told: the position is behind it when it appears.",
        (Edit("tasks/store/events.py", "settled = settled_through(self._database)", "settled = None"),),
        (f"{_STATE}::test_an_event_that_is_committed_late_is_told_too[postgresql]",),
    ),
    Mutation(
        "tell without the claim",
        "A worker that was frozen puts off, or sets back, what another one tells.",
        (Edit(_OUTBOX, "mine = (row.claimed_until == claimed.until, ", "mine = ("),),
        (f"{_STATE}::test_a_new_address_ends_the_claim_of_who_tells_by_the_old_one[sqlite]",),
    ),
    Mutation(
        "claim a target that another has",
        "Two workers tell everything twice.",
        (
            Edit(
                _OUTBOX,
                "where(nobody_is, waited",
                "where(waited",
            ),
        ),
        (f"{_STATE}::test_who_dies_between_the_sending_and_the_commit_tells_that_one_again[sqlite]",),
    ),
    Mutation(
        "let the libraries log what is told, and where",
        "Addresses with their passwords stand in the log.",
        (
            Edit(_APPRISE, "    logger.propagate = False\n", ""),
            Edit(_APPRISE, "        with hushed():\n            yield heard\n", "        yield heard\n"),
        ),
        (f"{_SENDING}::test_nothing_that_any_library_logs_meanwhile_is_kept",),
    ),
    Mutation(
        "follow a redirect with a notice",
        "Whoever answers for a service gets the credentials of its address sent on to wherever they like.",
        (Edit(_APPRISE, "http_redirects=False", "http_redirects=True"),),
        (f"{_SENDING}::test_a_redirect_is_not_followed",),
    ),
    Mutation(
        "wait for whoever takes a notice slowly",
        "A service that dribbles its answer holds a worker for ever.",
        (Edit(_APPRISE, "outcome.get(timeout=SENDING_S)", "outcome.get()"),),
        (f"{_SENDING}::test_a_server_that_dribbles_for_ever_holds_nobody_up",),
    ),
)
