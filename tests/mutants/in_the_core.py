"""Mistakes in the engine and its rules."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutation import Edit, Mutation

_MINTING: Final = "tasks/rotation/minting.py"
_DELIVERING: Final = "tasks/rotation/delivering.py"
_RETIRING: Final = "tasks/rotation/retiring.py"
_CHECKING: Final = "tasks/rotation/checking.py"
_POLICY: Final = "tasks/rotation/policy.py"
_PROVING: Final = "tasks/rotation/proving.py"
_REQUESTS: Final = "tasks/rotation/requests.py"
_RECONCILING: Final = "tasks/rotation/reconciling.py"

_LOST: Final = "tests/crash/test_lost_replies.py"
_EMERGENCIES: Final = "tests/unit/test_rotation_emergency.py"
_FAILURES: Final = "tests/unit/test_rotation_failures.py"
_LIFE: Final = "tests/unit/test_rotation_life.py"
_ORDER: Final = "tests/unit/test_rotation_order.py"
_PEOPLE: Final = "tests/unit/test_rotation_requests.py"
_UNDO: Final = "tests/unit/test_rotation_undo.py"
_RULES: Final = "tests/unit/test_policy.py"
_PLACES: Final = "tests/unit/test_rotation_destinations.py"
_COMPARING: Final = "tests/unit/test_reconciling.py"

IN_THE_CORE: Final = (
    Mutation(
        "delete before the destinations are read",
        "A destination that lost its key since the disabling is given nothing before the old key is gone for good.",
        (Edit(_RETIRING, "if version.state is not _S.ABANDONED and not safe_without(turn, version):", "if False:"),),
        (f"{_FAILURES}::test_drift_is_mended_before_a_disabled_key_is_deleted_too",),
    ),
    Mutation(
        "retire while a delivery is under way",
        "The new key has reached one of two places; the other's is deleted.",
        (
            Edit(
                _POLICY,
                "if version.doomed or snapshot.undelivered(active) or _in_state(snapshot, VersionState.PROVEN):",
                "if version.doomed:",
            ),
        ),
        (f"{_RULES}::test_nothing_retires_while_a_delivery_is_under_way",),
    ),
    Mutation(
        "ignore the overlap",
        "Applications that read their key once an hour fail until they do.",
        (
            Edit(
                _DELIVERING,
                "        retire_at=turn.now if new.emergency else turn.now + turn.rotation.overlap,\n",
                "        retire_at=turn.now,\n",
            ),
        ),
        (f"{_LIFE}::test_overlap_and_cooling_are_waited_out_to_the_second",),
    ),
    Mutation(
        "ignore the cooling",
        "There is no way back to the previous key.",
        (Edit(_RETIRING, "        delete_at = turn.now + turn.rotation.cooling\n", "        delete_at = turn.now\n"),),
        (f"{_LIFE}::test_overlap_and_cooling_are_waited_out_to_the_second",),
    ),
    Mutation(
        "forget whom an emergency condemned",
        "A leaked key outlives the emergency that was to end it.",
        (Edit(_DELIVERING, "        doomed=new.emergency,\n", ""),),
        (f"{_EMERGENCIES}::test_what_an_emergency_condemned_cannot_be_brought_back",),
    ),
    Mutation(
        "let the condemned wait their turn",
        "A leaked key lives on while a later version is delivered.",
        (Edit(_POLICY, "            if version.doomed:\n", "            if False:\n"),),
        (f"{_RULES}::test_what_an_emergency_condemned_waits_for_nothing",),
    ),
    Mutation(
        "lose the emergency with a lost reply",
        "The replacement is an ordinary version, and the leaked key gets its overlap.",
        (
            Edit(
                _MINTING,
                "        actor=version.actor,\n        emergency=version.emergency,\n",
                "        actor=version.actor,\n",
            ),
        ),
        (f"{_EMERGENCIES}::test_an_emergency_that_joins_a_create_whose_reply_is_lost_stays_one",),
    ),
    Mutation(
        "deliver a revived key without enabling it",
        "An undo puts a disabled key into every destination.",
        (
            Edit(
                _PROVING,
                "    if version.reviving and not turn.provider.set_disabled("
                "turn.management_key(), hash_of(version), disabled=False):\n",
                "    if False:\n",
            ),
            Edit(
                _PROVING,
                "    facts = turn.provider.describe_caller(turn.world.store.key(version.id))\n",
                "    if version.reviving:\n"
                "        proven = transition(version, VersionState.PROVEN, at=turn.now, actor=turn.actor)\n"
                "        return turn.commit(proven)\n"
                "    facts = turn.provider.describe_caller(turn.world.store.key(version.id))\n",
            ),
        ),
        (f"{_UNDO}::test_an_undo_publishes_the_previous_key_again",),
    ),
    Mutation(
        "take a revived key for delivered already",
        "The destinations keep the newer key while the row says that the older one is in service.",
        (
            Edit(
                _REQUESTS,
                "Change(deliveries=snapshot.deliveries_anew(previous))",
                "Change()",
            ),
        ),
        (f"{_UNDO}::test_an_undo_publishes_the_previous_key_again",),
    ),
    Mutation(
        "publish without proof",
        "A key without its spending limit goes into service.",
        (
            Edit(
                _PROVING,
                "    wrong = objections(facts, version.asked or turn.rotation.parameters, version)\n",
                '    wrong = ""\n',
            ),
        ),
        (f"{_FAILURES}::test_a_key_that_is_not_as_asked_is_never_published",),
    ),
    Mutation(
        "put a key into service before its bindings",
        "Requests with the new key pass no guardrail until someone notices.",
        (Edit(_PROVING, "    bound = _carried(turn, version)\n", "    bound: tuple[Event, ...] = ()\n"),),
        (f"{_ORDER}::test_a_new_key_is_bound_before_any_destination_has_it",),
    ),
    Mutation(
        "leave one's own orphan",
        "Whoever lost the lease during a create leaves a live key behind, until the looks find it.",
        (
            Edit(
                _MINTING,
                "        turn.provider.delete_key(turn.management_key(), minted.key_hash)\n        turn.world",
                "        turn.world",
            ),
        ),
        (f"{_LOST}::test_a_worker_whose_lease_ran_out_commits_nothing_and_removes_its_own_key",),
    ),
    Mutation(
        "mint before the last create was looked for",
        "While OpenRouter loses replies, each attempt leaves one more key alive for a quarter of an hour.",
        (Edit(_POLICY, "            if not _unlooked(snapshot):\n", "            if True:\n"),),
        (f"{_RULES}::test_no_new_key_is_asked_for_before_the_last_create_was_looked_for_once",),
    ),
    Mutation(
        "call without making sure of the lease",
        "Two workers advance one rotation at once, each with half of its calls.",
        (Edit("tasks/rotation/turn.py", "        self.world.store.keep_lease(self.lease, span)\n", ""),),
        (f"{_ORDER}::test_whoever_was_frozen_past_its_lease_asks_for_nothing_more",),
    ),
    Mutation(
        "number a publication by its version",
        "After an undo, the older version's number is refused by every destination for ever.",
        (Edit(_DELIVERING, "version.number, turn.lease.fence, value", "version.number, version.number, value"),),
        (f"{_UNDO}::test_an_undo_publishes_the_previous_key_again",),
    ),
    Mutation(
        "activate whatever an operator asked meanwhile",
        "An emergency that was asked for during the delivery is answered and forgotten.",
        (
            Edit(
                _DELIVERING,
                "        rotation=(turn.rotation, replace(turn.rotation, last_rotated_at=turn.now)),\n"
                "        seen_revision=turn.snapshot.revision,\n",
                "        rotation=(turn.rotation, replace(turn.rotation, last_rotated_at=turn.now)),\n",
            ),
        ),
        (f"{_PEOPLE}::test_an_emergency_that_is_asked_for_while_its_version_is_delivered_counts",),
    ),
    Mutation(
        "keep a dead key's text",
        "What was to be shredded stays in the database, and in its backups.",
        (Edit("tasks/rotation/machine.py", '        changed["has_key"] = False\n', "        pass\n"),),
        ("tests/unit/test_machine.py::test_the_end_takes_the_keys_text_along",),
    ),
    Mutation(
        "change state without an event",
        "The audit log has holes.",
        (
            Edit(
                "tasks/rotation/machine.py",
                "    return Change(events=tuple(events), versions=",
                "    return Change(versions=",
            ),
        ),
        (f"{_LIFE}::test_the_first_version_is_minted_and_published_at_once",),
    ),
    Mutation(
        "let any state follow any other",
        "A key that was never proven may become active by a mistake elsewhere.",
        (Edit("tasks/rotation/machine.py", "    if to not in TRANSITIONS[version.state]:\n", "    if False:\n"),),
        ("tests/unit/test_machine.py::test_only_the_steps_of_a_life_can_be_recorded",),
    ),
    Mutation(
        "try again at once",
        "An outage of OpenRouter becomes a storm of requests.",
        (Edit(_POLICY, "    return Attempt(count, now + pause,", "    return Attempt(count, now,"),),
        (f"{_RULES}::test_pauses_double_within_a_jitter_of_half_and_stay_below_the_longest",),
    ),
    Mutation(
        "ignore Retry-After",
        "OpenRouter blocks the account.",
        (Edit(_POLICY, "        pause = max(pause, error.retry_after)\n", "        pass\n"),),
        (f"{_RULES}::test_nothing_is_tried_before_the_other_side_said",),
    ),
    Mutation(
        "deliver over what is on its way",
        "The new key has arrived, the active one is put over it, and dies when the new one becomes active.",
        (
            Edit(
                _POLICY,
                "    active = snapshot.active\n    if _in_state(snapshot, VersionState.PROVEN):\n        return\n",
                "    active = snapshot.active\n",
            ),
        ),
        (f"{_RULES}::test_the_active_key_is_not_put_over_one_that_is_on_its_way",),
    ),
    Mutation(
        "let a key die that a destination holds",
        "Where drift is only reported, the old key was put back by somebody; it stops working.",
        (Edit(_CHECKING, "            _refuse_unless_elsewhere(turn, dying, destination)\n", "            pass\n"),),
        (f"{_PLACES}::test_what_is_only_reported_keeps_the_old_key_alive_only_where_it_is_the_old_key",),
    ),
    Mutation(
        "believe what a given-up version left behind",
        "A destination that cannot show its value keeps a key that is deleted.",
        (Edit(_REQUESTS, "    return together(back, delivered_again(snapshot, current))\n", "    return back\n"),),
        (f"{_PLACES}::test_an_undo_that_is_given_up_delivers_the_active_key_again",),
    ),
    Mutation(
        "try every destination whenever one is due",
        "One that asked to be left alone for an hour is asked every few seconds.",
        (Edit(_POLICY, "if moment <= snapshot.now})\n    if due or", "if moment})\n    if due or"),),
        (f"{_RULES}::test_each_destination_is_tried_again_in_its_own_time[proven]",),
    ),
    Mutation(
        "forget a destination before its key is gone",
        "The key stays where an operator ordered it to be taken away, and nothing remembers.",
        (
            Edit(
                "tasks/rotation/withdrawing.py",
                "destinations=(replace(destination, attempt=attempt),))",
                "forgotten=(destination,))",
            ),
        ),
        ("tests/unit/test_rotation_removal.py::test_a_withdrawal_that_fails_is_tried_until_it_is_done",),
    ),
    Mutation(
        "keep a limited rate to oneself",
        "Every other rotation of the account goes on asking.",
        (
            Edit(
                "tasks/rotation/turn.py",
                "pause_connection_until=_pause(error, self.now, attempt.next_at),",
                "pause_connection_until=None,",
            ),
        ),
        (f"{_FAILURES}::test_retry_after_pauses_every_rotation_of_the_connection",),
    ),
    Mutation(
        "read the rows before the list",
        "A key that is minted during the comparison is reported as a stranger's, and a replaced one as gone.",
        (
            Edit(
                _RECONCILING,
                "        known = self._desk.known_versions(connection_id)\n        bound =",
                "        bound =",
            ),
            Edit(
                _RECONCILING,
                "        remote = {k.key_hash",
                "        known = self._desk.known_versions(connection_id)\n        remote = {k.key_hash",
            ),
        ),
        (f"{_COMPARING}::test_a_key_that_is_minted_during_the_comparison_is_left_alone",),
    ),
    Mutation(
        "delete what only looks like ours",
        "A key of another installation, or of a person, dies.",
        (
            Edit(
                _RECONCILING,
                "        if version is None or version.released or version.state is None:\n            continue\n",
                "        if version is None:\n"
                "            if marked:\n"
                "                found.append((key, known[0]))\n"
                "            continue\n"
                "        if version.released or version.state is None:\n"
                "            continue\n",
            ),
        ),
        (f"{_COMPARING}::test_a_healthy_account_brings_nothing_but_look_alikes",),
    ),
    Mutation(
        "delete what was left to the operator",
        "A rotation was deleted and its keys kept; the next comparison kills them.",
        (
            Edit(
                _RECONCILING,
                "        if version is None or version.released or version.state is None:\n",
                "        if version is None or version.state is None:\n",
            ),
        ),
        (f"{_COMPARING}::test_keys_that_were_kept_alive_are_left_in_the_operators_hands",),
    ),
    Mutation(
        "take any number for a mark",
        "The look for a lost key deletes every key of the rotation.",
        (
            Edit(
                _MINTING,
                '        if ending and ending["marker"] == version.marker:\n',
                "        if ending:\n",
            ),
        ),
        (f"{_LOST}::test_a_key_whose_reply_was_lost_is_removed_before_another_is_minted[lost_reply]",),
    ),
)
