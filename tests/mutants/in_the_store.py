"""Mistakes in the database and the cipher, on which the engine relies."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutation import Edit, Mutation

_LEASED: Final = "tasks/store/leased.py"
_DISPATCH: Final = "tasks/store/dispatch.py"
_WRITING: Final = "tasks/store/writing.py"
_CIPHER: Final = "tasks/store/cipher.py"
_DESK: Final = "tasks/store/desk.py"

_LEASES: Final = "tests/contract/state/test_lease.py"
_DUE: Final = "tests/contract/state/test_dispatch.py"
_SEALING: Final = "tests/unit/test_cipher.py"
_ORDER: Final = "tests/unit/test_rotation_order.py"
_PEOPLE: Final = "tests/unit/test_rotation_requests.py"

IN_THE_STORE: Final = (
    Mutation(
        "write events in a transaction of their own",
        "What happened is not told, when the worker dies in between.",
        (
            Edit(
                _LEASED,
                "            write_change(connection, self._cipher, change)\n"
                "            pause_connection(connection, lease.rotation_id, change)\n",
                "            write_change(connection, self._cipher, replace(change, events=()))\n"
                "            pause_connection(connection, lease.rotation_id, change)\n"
                "        with self._database.write() as connection:\n"
                "            write_events(connection, change.events)\n",
            ),
            Edit(_LEASED, "import time\n", "import time\nfrom dataclasses import replace\n"),
            Edit(
                _LEASED,
                "import pause_connection, write_change\n",
                "import pause_connection, write_change, write_events\n",
            ),
        ),
        (f"{_ORDER}::test_what_cannot_be_told_does_not_happen",),
    ),
    Mutation(
        "go to sleep on an older view",
        "An operator's request that came in the last moment is overslept.",
        (Edit(_LEASED, "                RotationRow.revision == seen_revision,\n", ""),),
        (f"{_LEASES}::test_it_is_not_released_on_an_older_view_than_the_operators[sqlite]",),
    ),
    Mutation(
        "release another's lease",
        "A worker that lost its lease ends its successor's.",
        (
            Edit(
                _LEASED,
                "                RotationRow.lease_fence == lease.fence,\n                RotationRow.revision",
                "                RotationRow.revision",
            ),
        ),
        (f"{_LEASES}::test_whoever_lost_it_can_write_nothing[sqlite]",),
    ),
    Mutation(
        "give the lease to everyone",
        "Two workers mint two keys.",
        (Edit(_LEASED, "RotationRow.removed_at.is_(None), free)", "RotationRow.removed_at.is_(None))"),),
        (f"{_LEASES}::test_nobody_gets_it_before_it_ran_out_and_the_fence_grows[sqlite]",),
    ),
    Mutation(
        "write after the lease ran out",
        "A frozen worker writes in the moment before its successor begins.",
        (Edit(_LEASED, "                _millis(RotationRow.lease_until) >= self._database.now,\n", ""),),
        (f"{_LEASES}::test_a_lease_that_ran_out_writes_nothing_even_if_nobody_took_it[sqlite]",),
    ),
    Mutation(
        "a fence that stands still",
        "All leases look alike, and the frozen worker's too.",
        (Edit(_LEASED, "lease_fence=RotationRow.lease_fence + 1,", "lease_fence=RotationRow.lease_fence,"),),
        (f"{_LEASES}::test_nobody_gets_it_before_it_ran_out_and_the_fence_grows[sqlite]",),
    ),
    Mutation(
        "commit over an operator's change",
        "What was decided before an operator asked is written after it.",
        (
            Edit(
                _LEASED,
                "    if connection.execute(query).scalar_one() != change.seen_revision:\n",
                "    if connection.execute(query).scalar_one() is None:\n",
            ),
        ),
        (f"{_PEOPLE}::test_an_emergency_that_is_asked_for_while_its_version_is_delivered_counts",),
    ),
    Mutation(
        "update a version whatever its state",
        "Two decisions about one version are both written, the second over the first.",
        (
            Edit(
                _WRITING,
                "(KeyVersionRow.id == before.id, KeyVersionRow.state == str(before.state))",
                "(KeyVersionRow.id == before.id,)",
            ),
        ),
        (f"{_LEASES}::test_a_commit_is_all_or_nothing[sqlite]",),
    ),
    Mutation(
        "shorten another's pause",
        "A second rotation ends the pause that OpenRouter asked of the first.",
        (Edit(_WRITING, "ConnectionRow.id == its_connection, shorter)", "ConnectionRow.id == its_connection)"),),
        (f"{_LEASES}::test_a_pause_of_the_connection_only_grows[sqlite]",),
    ),
    Mutation(
        "claim without a mark",
        "Every tick tells the workers again of everything that waits; the queue grows without end.",
        (
            Edit(
                _DISPATCH,
                ".values(dispatched_until=sa.type_coerce(now + _TOLD_FOR_MS, Moment))",
                ".values(dispatched_until=None)",
            ),
        ),
        (f"{_DUE}::test_who_was_told_has_a_minute_to_begin[sqlite]",),
    ),
    Mutation(
        "claim what is leased",
        "Workers are told of what another is busy with.",
        (
            Edit(
                _DISPATCH, "                is_over(RotationRow.lease_until, now, at_most_ms=NO_LEASE_LASTS_MS),\n", ""
            ),
        ),
        (f"{_DUE}::test_what_is_leased_or_asleep_is_not_due[sqlite]",),
    ),
    Mutation(
        "let an operator's request sleep",
        "`rotator rotate` answers, and nothing happens until the schedule's next run.",
        (
            Edit(
                _DESK,
                "        .where(meant(RotationRow, name), RotationRow.removed_at.is_(None))\n"
                "        .values(\n"
                "            revision=RotationRow.revision + 1,\n"
                "            wake_at=sa.type_coerce(database.now, Moment),\n",
                "        .where(meant(RotationRow, name), RotationRow.removed_at.is_(None))\n"
                "        .values(\n"
                "            revision=RotationRow.revision + 1,\n",
            ),
        ),
        (f"{_PEOPLE}::test_two_people_at_once_get_one_rotation_and_the_same_answer",),
    ),
    Mutation(
        "answer a repeated message anew",
        "Each message that the broker repeats makes one more rotation.",
        (
            Edit(
                _DESK,
                "                _remember(connection, snapshot, request_id, change.answers)\n",
                "                pass\n",
            ),
        ),
        (f"{_PEOPLE}::test_a_message_that_comes_twice_makes_no_second_rotation",),
    ),
    Mutation(
        "bind a ciphertext to no place",
        "Whoever can write to the database puts one rotation's key into another's row, and it is delivered.",
        (
            Edit(
                _CIPHER,
                "encrypt(nonce, text, header + place.bytes())",
                "encrypt(nonce, text, header)",
            ),
            Edit(
                _CIPHER,
                "envelope[_HEADER + _NONCE_BYTES :], header + place.bytes())",
                "envelope[_HEADER + _NONCE_BYTES :], header)",
            ),
        ),
        (f"{_SEALING}::test_a_ciphertext_that_was_moved_does_not_open",),
    ),
    Mutation(
        "use a nonce twice",
        "Two ciphertexts under one nonce give their texts away.",
        (Edit(_CIPHER, "os.urandom(_NONCE_BYTES)", "bytes(_NONCE_BYTES)"),),
        (f"{_SEALING}::test_each_sealing_is_different",),
    ),
    Mutation(
        "fingerprint without the master key",
        "Whoever has the database tries key texts until one fits.",
        (Edit(_CIPHER, "        key = _derive(self._ring()[0]).fingerprint\n", '        key = b"fingerprint"\n'),),
        (f"{_SEALING}::test_a_fingerprint_tells_secrets_apart_and_depends_on_the_master_key",),
    ),
    Mutation(
        "store a key as it came",
        "Key texts stand in the database and in every backup of it.",
        (
            Edit(
                _WRITING,
                "    sealed = cipher.seal(key, key_place(version_id))\n",
                "    sealed = cipher.seal(key, key_place(version_id)) + key.reveal().encode()\n",
            ),
            Edit(
                "tasks/store/sealed.py",
                "    return cipher.open(sealed, key_place(version_id))\n",
                '    return cipher.open(sealed[: sealed.find(b"sk-or-")], key_place(version_id))\n',
            ),
        ),
        ("tests/unit/test_rotation_life.py::test_the_first_version_is_minted_and_published_at_once",),
    ),
    Mutation(
        "repeat a marker",
        "The look for one lost key deletes another that is in service.",
        (
            Edit(
                "tasks/wiring.py",
                "marker=lambda: secrets.token_hex(_MARKER_BYTES)",
                'marker=lambda: "0" * 2 * _MARKER_BYTES',
            ),
        ),
        (f"{_ORDER}::test_every_create_has_a_mark_of_its_own",),
    ),
)
