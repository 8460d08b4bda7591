"""A secret of an Azure Key Vault, for an application with its secret in a file."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from secrets import token_hex
from typing import cast

from config.secret import Secret
from tests.contract.places._cloud import Cloud, running_cloud
from tests.contract.places._key_vault import Entra, KeyVault, Version
from tests.contract.places.place import Place, Surroundings


def place(around: Surroundings) -> Iterator[Place]:
    cloud = cast(Cloud, around.once("cloud", running_cloud))
    host, name = f"test-{token_hex(4)}.vault.azure.net", f"Test-{token_hex(4)}"
    entra = Entra()
    vault = KeyVault(host, entra)
    versions = vault.secrets.setdefault(name.lower(), [])
    file = around.folder / "client_secret"
    file.write_text(f"{entra.secret}\n")
    login = f"tenant_id={entra.tenant}&client_id={entra.client}&client_secret_file={file}"

    def newest() -> Version | None:
        return versions[-1] if versions and versions[-1].enabled else None

    def application_reads() -> str | None:
        found = newest()
        return found.value if found else None

    def stamped() -> str | None:
        found = newest()
        return str(json.loads(found.tags["openrouter-rotator"])["version"]) if found else None

    with cloud.entered(host, vault), cloud.entered(entra.host, entra):
        yield Place(
            kind="azure-key-vault",
            target=Secret(f"https://{host}/{name}?{login}"),
            credential=entra.secret,
            application_reads=application_reads,
            snapshot=lambda: copy.deepcopy(vault.secrets),
            spoil=vault.granted.clear,
            overwrite=lambda value: versions.append(Version(value, {})),
            empty=lambda: vault.disable(name.lower()),
            stamped=stamped,
        )
