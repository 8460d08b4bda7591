"""Ten mistakes that a rotator of keys must not make; each was made by somebody. Some can be made in two ways."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutation import Edit, Mutation

_LEASED: Final = "tasks/store/leased.py"
_MINTING: Final = "tasks/rotation/minting.py"
_RETIRING: Final = "tasks/rotation/retiring.py"
_DELIVERING: Final = "tasks/rotation/delivering.py"
_ADAPTER: Final = "tasks/providers/openrouter/adapter.py"

_LEASES: Final = "tests/contract/state/test_lease.py"
_DISPATCH: Final = "tests/contract/state/test_dispatch.py"
_OPENROUTER: Final = "tests/contract/test_openrouter_adapter.py"
_LOST: Final = "tests/crash/test_lost_replies.py"
_FAILURES: Final = "tests/unit/test_rotation_failures.py"
_ORDER: Final = "tests/unit/test_rotation_order.py"

NAMED: Final = (
    Mutation(
        "drop the fence",
        "A worker that was frozen past its lease would write over what its successor did.",
        (
            Edit(
                _LEASED,
                "RotationRow.lease_fence == lease.fence,\n                _millis(RotationRow.lease_until)",
                "_millis(RotationRow.lease_until)",
            ),
        ),
        (f"{_LEASES}::test_whoever_lost_it_can_write_nothing[sqlite]",),
    ),
    Mutation(
        "drop the fence at the destinations",
        "A frozen worker would put an older key back, which is deleted a moment later.",
        (Edit("tasks/publishers/_shared/stamp.py", " and found.sequence > publication.sequence", " and False"),),
        (f"{_LOST}::test_a_worker_frozen_before_it_publishes_cannot_put_an_older_key_back",),
    ),
    Mutation(
        "commit after the POST instead of before",
        "A worker that dies during the create leaves a live key that no row knows of.",
        (
            Edit(_MINTING, "    turn.commit(intention)\n    creating =", "    creating ="),
            Edit(
                _MINTING,
                "            expires_at=creating.expires_at,\n        )\n    except",
                "            expires_at=creating.expires_at,\n        )\n        turn.commit(intention)\n    except",
            ),
        ),
        (f"{_ORDER}::test_the_intention_is_stored_before_the_key_is_asked_for",),
    ),
    Mutation(
        "commit the result in two parts",
        "A worker that dies between hash and ciphertext has minted a key whose text nobody will ever have.",
        (
            Edit(
                _MINTING,
                "        turn.commit(replace(created, keys={creating.id: minted.key}))\n",
                "        turn.commit(created)\n        turn.commit(Change(keys={creating.id: minted.key}))\n",
            ),
        ),
        (f"{_ORDER}::test_a_keys_hash_and_text_are_stored_together",),
    ),
    Mutation(
        "retire before read-back",
        "The old key's overlap begins, and ends, while applications still read the old key.",
        (
            Edit(
                _DELIVERING,
                "    holding = publisher.read_back(rotation.secret_name, value, receipt)\n",
                "    holding = Holding.SAME\n",
            ),
        ),
        (f"{_FAILURES}::test_what_is_not_read_back_is_not_delivered",),
    ),
    Mutation(
        "retire before read-back of the last destination",
        "One destination that fails keeps the old key, and the old key is deleted all the same.",
        (
            Edit(
                _DELIVERING,
                "any(not d.optional for d, _ in waiting):",
                "any(not d.optional for d, _ in waiting[:0]):",
            ),
        ),
        (f"{_FAILURES}::test_one_unwritable_destination_keeps_the_new_key_from_none_of_the_others",),
    ),
    Mutation(
        "forget the sweep",
        "A key whose create was never confirmed lives for ever, unrecorded.",
        (Edit(_MINTING, "    found = _marked(turn, version)\n", "    found: list[RemoteKey] = []\n"),),
        (f"{_LOST}::test_a_key_whose_reply_was_lost_is_removed_before_another_is_minted[lost_reply]",),
    ),
    Mutation(
        "sweep once",
        "A request still in flight lands after the first look, and nobody looks again.",
        (
            Edit(
                _MINTING,
                "turn.now + turn.world.policy.settle if version.state is _S.CREATING else None",
                "turn.now if version.state is _S.CREATING else None",
            ),
        ),
        (f"{_LOST}::test_a_key_that_lands_after_the_first_look_is_found_by_a_later_one",),
    ),
    Mutation(
        "retry the POST",
        "Each lost reply leaves one more live key.",
        (
            Edit(
                _MINTING,
                "    except (TryAgain, OperatorNeeded) as refused:",
                "    except (TryAgain, OperatorNeeded, OutcomeUnknown) as refused:",
            ),
        ),
        (f"{_LOST}::test_a_key_whose_reply_was_lost_is_removed_before_another_is_minted[lost_reply]",),
    ),
    Mutation(
        "retry the POST below",
        "The same, one floor down: the HTTP client sends again what broke off.",
        (
            Edit(
                "tasks/providers/openrouter/client.py",
                "            response = self._http.send(request, stream=True)\n",
                "            try:\n"
                "                response = self._http.send(request, stream=True)\n"
                "            except httpx.TransportError:\n"
                "                response = self._http.send(request, stream=True)\n",
            ),
        ),
        (f"{_OPENROUTER}::test_a_create_whose_reply_is_lost_is_unknown_and_its_key_is_found_by_name",),
    ),
    Mutation(
        "skip include_disabled",
        "A key that a person disabled, or an interrupted undo, is not found by any look: it stays for ever.",
        (Edit(_ADAPTER, ', "include_disabled": "true"', ""),),
        (f"{_OPENROUTER}::test_every_key_is_listed_once_newest_first_disabled_ones_too",),
    ),
    Mutation(
        "ignore paging",
        "In an account of more than a hundred keys, an orphan beyond the first page is never found.",
        (
            Edit(
                "tasks/providers/openrouter/paging.py",
                "        offset += max(1, len(page.items) - OVERLAP)\n",
                "        return\n",
            ),
        ),
        (f"{_LOST}::test_the_orphan_is_found_beyond_the_first_page",),
    ),
    Mutation(
        "move wake_at before the commit",
        "A worker that dies in the middle leaves a rotation that nobody wakes.",
        (
            Edit(
                "tasks/rotation/engine.py",
                "                steps += 1\n",
                "                steps += 1\n"
                "                store.release_lease(lease, wake_at=None, seen_revision=snapshot.revision)\n"
                "                lease = store.take_lease(lease.rotation_id, lease.owner) or lease\n",
            ),
        ),
        (f"{_ORDER}::test_a_rotation_whose_worker_died_is_found_by_the_next_tick",),
    ),
    Mutation(
        "clear wake_at when the lease is taken",
        "The same, by the statement that takes the lease.",
        (
            Edit(
                _LEASED,
                "                lease_until=self._until(self._span),\n                dispatched_until=None,\n",
                "                lease_until=self._until(self._span),\n                dispatched_until=None,\n"
                "                wake_at=None,\n",
            ),
        ),
        (f"{_DISPATCH}::test_what_is_leased_or_asleep_is_not_due[sqlite]",),
    ),
    Mutation(
        "disable without a look",
        "A destination that was restored from a backup holds the old key, and stops working.",
        (
            Edit(
                _RETIRING,
                "    if not safe_without(turn, version):\n        return\n    turn.hold()\n    if turn",
                "    turn.hold()\n    if turn",
            ),
        ),
        (f"{_FAILURES}::test_drift_is_mended_before_a_key_dies",),
    ),
    Mutation(
        "look after disabling",
        "The look comes too late: the destination has lost its key when it is found out.",
        (
            Edit(
                _RETIRING,
                "    if not safe_without(turn, version):\n        return\n    turn.hold()\n    if turn.provider",
                "    turn.hold()\n    gone = not turn.provider.set_disabled(\n"
                "        turn.management_key(), hash_of(version), disabled=True\n    )\n"
                "    if not safe_without(turn, version):\n        return\n"
                "    if not gone and turn.provider",
            ),
        ),
        (f"{_FAILURES}::test_drift_is_mended_before_a_key_dies",),
    ),
    Mutation(
        "lose the hash on a failed delete",
        "The key lives on, and nobody knows which it was.",
        (
            Edit(
                "tasks/rotation/turn.py",
                "replace(version, attempt=attempt)",
                'replace(version, attempt=attempt, key_hash=None if step == "delete" else version.key_hash)',
            ),
        ),
        (f"{_ORDER}::test_a_key_that_cannot_be_deleted_keeps_its_hash_until_it_is",),
    ),
    Mutation(
        "call it deleted before it is",
        "The same: a row that says deleted is never looked at again.",
        (
            Edit(
                _RETIRING,
                "    turn.hold()\n    turn.provider.delete_key(turn.management_key(), hash_of(version))\n    path =",
                "    turn.hold()\n    path =",
            ),
            Edit(
                _RETIRING,
                "    turn.commit(replace(ended, events=(*told_of, *ended.events)))\n",
                "    turn.commit(replace(ended, events=(*told_of, *ended.events)))\n"
                "    turn.provider.delete_key(turn.management_key(), hash_of(version))\n",
            ),
        ),
        (f"{_ORDER}::test_a_key_that_cannot_be_deleted_keeps_its_hash_until_it_is",),
    ),
)
