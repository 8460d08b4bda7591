"""Decides by what Vault says of a mount, and of us, whether a secret can be published to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from tasks.publishers._places.vault.target import VERSIONED, VaultOptions
from tasks.rotation.errors import OperatorNeeded, Refused

if TYPE_CHECKING:
    from tasks.publishers._places.vault.secret import Found, Mount


def refuse_unversioned(options: VaultOptions, mount: Mount, label: str) -> None:
    """Raise ``Refused`` unless it is the mount that the target names, and keeps versions.

    Asked where there is no secret yet: a mount without versions would take the first one, for another path.
    """
    path = mount.path.strip("/")
    if path != options.mount and f"{options.mount}/{options.path}".startswith(f"{path}/"):
        raise Refused(
            f"{label}: it is {path} that is mounted there; nothing was changed.",
            f"Write the URL's path as /{quote(path, safe='')}/PATH.",
        )
    if mount.type != "kv" or mount.options is None or mount.options.version != "2":
        raise Refused(f"{label}: what is mounted there keeps no versions; nothing was changed.", VERSIONED)


def needed_rights(options: VaultOptions, found: Found) -> dict[str, set[str]]:
    """What publishing to the secret as it is now takes, by paths of the API."""
    first = {"create"} if not found.version else set() if found.live else {"update"}
    return {
        f"{options.mount}/data/{options.path}": {"read", "patch"} | first,
        f"{options.mount}/metadata/{options.path}": {"patch"},
    }


def refuse_lacking(
    options: VaultOptions, needs: Mapping[str, set[str]], rights: Mapping[str, set[str]] | None, label: str
) -> None:
    """Raise ``OperatorNeeded`` with what is missing of ``needs``, and the policy that gives it.

    ``rights`` None: Vault did not say, and publishing will tell.
    """
    if rights is None:
        return
    lacking = {path: need - rights[path] for path, need in needs.items() if "root" not in rights[path]}
    told = [f"{' and '.join(sorted(rights))} on {path}" for path, rights in lacking.items() if rights]
    if told:
        raise OperatorNeeded(
            f"{label}: the token may not {', nor '.join(told)}; nothing was changed.",
            f"Give it a policy with: {options.policy}.",
        )
