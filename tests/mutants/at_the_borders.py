"""Mistakes at the borders: what is asked of OpenRouter, what its answers are taken for, and how files are written."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutation import Edit, Mutation

_ADAPTER: Final = "tasks/providers/openrouter/adapter.py"
_FAULTS: Final = "tasks/providers/openrouter/faults.py"
_FILE: Final = "tasks/publishers/_places/files/disk.py"

_OPENROUTER: Final = "tests/contract/test_openrouter_adapter.py"
_CLIENT: Final = "tests/unit/test_openrouter_client.py"
_DOTENV: Final = "tests/unit/publishers/test_dotenv_publisher.py"

AT_THE_BORDERS: Final = (
    Mutation(
        "take a gateway's answer to a create for a refusal",
        "A key that was made behind a failing gateway is never looked for.",
        (
            Edit(
                _FAULTS,
                "    429: Verdict.RATE_LIMITED,\n",
                "    429: Verdict.RATE_LIMITED,\n    502: Verdict.REFUSED,\n",
            ),
        ),
        (f"{_CLIENT}::test_a_create_answered_by_a_gateway_is_unknown",),
    ),
    Mutation(
        "take a 404 of a create for success",
        "A version without a key goes on as if it had one.",
        (
            Edit(
                _ADAPTER,
                "        created = self._client.ask_for(wire.CreatedKey, call, management_key)\n",
                "        answer = self._client.ask(call, management_key, accept=_GONE)\n"
                "        if answer.status == _NOT_FOUND:\n"
                '            return MintedKey("0" * 64, management_key)\n'
                "        created = read_as(wire.CreatedKey, answer, call)\n",
            ),
        ),
        ("tests/unit/test_rotation_order.py::test_a_create_that_was_refused_is_the_same_versions_next_attempt",),
    ),
    Mutation(
        "believe any server's 404",
        "A proxy's error page passes for 'that key is gone', and the row forgets a live key.",
        (Edit("tasks/providers/openrouter/client.py", "        if foreign:\n", "        if False:\n"),),
        (f"{_OPENROUTER}::test_a_404_of_some_other_server_does_not_pass_for_gone",),
    ),
    Mutation(
        "take a lost reply to a create for nothing done",
        "The key that was made is not looked for.",
        (
            Edit(
                _FAULTS,
                "    httpx.ReadTimeout: Verdict.UNCERTAIN,\n",
                "    httpx.ReadTimeout: Verdict.NEVER_SENT,\n",
            ),
        ),
        (f"{_CLIENT}::test_a_create_whose_reply_was_lost_is_unknown",),
    ),
    Mutation(
        "read pages edge to edge",
        "A key that moves up a page while others are deleted slips past the look.",
        (Edit("tasks/providers/openrouter/paging.py", "OVERLAP: Final = 10\n", "OVERLAP: Final = 0\n"),),
        (f"{_OPENROUTER}::test_no_key_slips_past_while_others_are_made_and_deleted",),
    ),
    Mutation(
        "skip include_expired",
        "An expired key of ours stays in the account for ever.",
        (Edit(_ADAPTER, ', "include_expired": "true"', ""),),
        (f"{_OPENROUTER}::test_expired_keys_are_listed",),
    ),
    Mutation(
        "look at one workspace only",
        "A lost key of a rotation in another workspace is never found.",
        (
            Edit(
                _ADAPTER,
                '                params["workspace_id"] = workspace_id\n',
                "                pass\n",
            ),
        ),
        (f"{_OPENROUTER}::test_a_listing_is_of_one_workspace",),
    ),
    Mutation(
        "write over what others wrote",
        "A variable that a person adds to the file in this moment is gone.",
        (Edit(_FILE, "        if read(place) != found:\n", "        if False:\n"),),
        (f"{_DOTENV}::test_what_another_process_writes_meanwhile_is_kept",),
    ),
    Mutation(
        "write a file in place",
        "A crash, or a full disk, leaves an application's file without its key.",
        (
            Edit(
                _FILE,
                "        os.replace(place.draft, place.name, src_dir_fd=place.directory, dst_dir_fd=place.directory)\n",
                "        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC\n"
                '        with open(os.open(place.name, flags, dir_fd=place.directory), "wb") as file:\n'
                "            file.write(content)\n",
            ),
        ),
        (f"{_DOTENV}::test_a_crash_before_the_rename_leaves_the_old_file_and_the_next_run_cleans_up",),
    ),
)
