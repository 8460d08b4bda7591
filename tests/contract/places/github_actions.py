"""A secret of a repository at an emulated GitHub, for a token with no more rights than publishing needs."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from secrets import token_hex
from typing import cast

from config.secret import Secret
from tests.contract.places._github import GitHub, running_github
from tests.contract.places.place import NAME, Place, Surroundings


def place(around: Surroundings) -> Iterator[Place]:
    github = cast(GitHub, around.once("github", running_github))
    where = github.repository(f"acme-{token_hex(4)}", "shop")
    github.write(where, "OTHER", "kept")
    token = github.token("secrets:read", "secrets:write")
    file = around.folder / "token"
    file.write_text(f"{token}\n")

    def workflow_reads() -> str | None:
        found = github.kept[where].get(NAME)
        return None if found is None else found.value

    yield Place(
        kind="github-actions",
        target=Secret(f"{'/'.join(where)}?api={github.url}&token_file={file}"),
        credential=token,
        application_reads=workflow_reads,
        snapshot=lambda: deepcopy(github.kept[where]),
        spoil=lambda: github.tokens.pop(token),
        overwrite=lambda value: github.write(where, NAME, value),
        empty=lambda: github.kept[where].pop(NAME),
        refuses_stale=False,
        tells_strangers=False,
        spares_others=False,
        shows_values=False,
    )
