"""A secret at an emulated Infisical, for a machine identity."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from secrets import token_hex
from typing import cast

from config.secret import Secret
from tests.contract.places._infisical import Infisical, running_infisical
from tests.contract.places.place import NAME, Place, Surroundings


def place(around: Surroundings) -> Iterator[Place]:
    infisical = cast(Infisical, around.once("infisical", running_infisical))
    where = infisical.folder(f"project-{token_hex(4)}", "prod", "/apps/shop")
    infisical.write(where, "OTHER", "kept")
    client_id, client_secret = infisical.identity()
    file = around.folder / "client-secret"
    file.write_text(f"{client_secret}\n")
    kept = infisical.folders[where]
    options = f"client_id={client_id}&client_secret_file={file}"

    def application_reads() -> str | None:
        return kept[NAME].value if NAME in kept else None

    def stamped() -> str | None:
        stamps = [entry["value"] for entry in kept[NAME].metadata if entry["key"] == "openrouter-rotator"]
        return str(json.loads(str(stamps[0]))["version"])

    yield Place(
        kind="infisical",
        target=Secret(f"{infisical.url}/{'/'.join(where[:2])}{where[2]}?{options}#{NAME}"),
        credential=client_secret,
        application_reads=application_reads,
        snapshot=lambda: deepcopy(kept),
        spoil=lambda: infisical.identities.pop(client_id),
        overwrite=lambda value: infisical.write(where, NAME, value),
        empty=lambda: kept.pop(NAME),
        stamped=stamped,
    )
