"""A secret of a real OpenBao, for an AppRole with no more rights than we say that publishing needs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from secrets import token_hex
from typing import cast

from config.secret import Secret
from tests.contract.places._openbao import OpenBao, running_openbao
from tests.contract.places.place import NAME, Place, Surroundings


def place(around: Surroundings) -> Iterator[Place]:
    bao = cast(OpenBao, around.once("openbao", running_openbao))
    path = f"apps/{token_hex(8)}"
    policy = bao.allow(path)
    role_id, secret_id = bao.app_role(policy)
    (around.folder / "role-id").write_text(f"{role_id}\n")
    (around.folder / "secret-id").write_text(f"{secret_id}\n")
    bao.put(path, {"OTHER": "kept", "NUMBER": 1})
    login = f"role_id_file={around.folder}/role-id&secret_id_file={around.folder}/secret-id"

    def fields() -> dict[str, object]:
        found = bao.fields(path)
        assert found is not None
        assert (found["OTHER"], found["NUMBER"]) == ("kept", 1)
        return found

    def stamped() -> str | None:
        (stamp,) = (bao.metadata(path)["custom_metadata"] or {}).values()
        return str(json.loads(stamp)["version"])

    yield Place(
        kind="vault",
        target=Secret(f"{bao.address}/secret/{path}?{login}&ca_file={bao.ca_file}#{NAME}"),
        credential=secret_id,
        application_reads=lambda: cast("str | None", fields().get(NAME)),
        snapshot=lambda: (bao.fields(path), bao.metadata(path)),
        spoil=lambda: bao.ask("DELETE", f"sys/policies/acl/{policy}"),
        overwrite=lambda value: bao.merge(path, {NAME: value}),
        empty=lambda: bao.merge(path, {NAME: None}),
        stamped=stamped,
    )
