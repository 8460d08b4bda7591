"""A secret of Google's Secret Manager, for a service account with its key in a file."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from secrets import token_hex
from typing import cast

from config.secret import Secret
from tests.contract.places._cloud import Cloud, running_cloud
from tests.contract.places._secret_manager import Secret as Stored
from tests.contract.places._secret_manager import SecretManager, ServiceAccount, Version
from tests.contract.places.place import Place, Surroundings


@cache
def service_account() -> ServiceAccount:
    """One for the whole session: its key takes a moment."""
    return ServiceAccount()


def place(around: Surroundings) -> Iterator[Place]:
    cloud = cast(Cloud, around.once("cloud", running_cloud))
    account, name = service_account(), f"projects/test-project/secrets/test-{token_hex(4)}"
    manager, secret = SecretManager(account.signed), Stored()
    manager.secrets[name] = secret
    file = around.folder / "account.json"
    file.write_text(account.file)

    def application_reads() -> str | None:
        newest = secret.versions[-1] if secret.versions else None
        return newest.data.decode() if newest and newest.state == "ENABLED" else None

    def stamped() -> str | None:
        return str(json.loads(secret.annotations["openrouter-rotator"])["version"])

    with cloud.entered("secretmanager.googleapis.com", manager):
        yield Place(
            kind="gcp-secret-manager",
            target=Secret(f"{name}?credentials_file={file}"),
            credential=account.pem.splitlines()[5],
            application_reads=application_reads,
            snapshot=lambda: copy.deepcopy(manager.secrets),
            spoil=manager.granted.clear,
            overwrite=lambda value: secret.versions.append(Version("ENABLED", value.encode())),
            empty=lambda: [manager.disabled(version) for version in secret.versions],
            stamped=stamped,
        )
    assert (secret.labels, secret.annotations["team"]) == ({"env": "test"}, "billing")
