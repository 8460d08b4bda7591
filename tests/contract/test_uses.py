"""What each kind says that it would use of the machine: nothing that a target can name is left out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from config.secret import Secret
from tasks.publishers import about, kinds, open_publisher
from tasks.publishers._shared.uses import (
    ActsAs,
    MachineUse,
    Names,
    OpensSocket,
    ReadsFile,
    ReadsVariable,
    RunsProgram,
    WritesFile,
    marks_of,
)

FILE = WritesFile("the target", Path("/srv/app/f"))
LEAST: dict[str, tuple[str, str, tuple[MachineUse, ...]]] = {
    "aws-secrets-manager": ("app/key", "", (ActsAs("AWS"),)),
    "aws-ssm": ("/app/key", "", (ActsAs("AWS"),)),
    "azure-key-vault": ("https://my-vault.vault.azure.net/key", "", (ActsAs("Azure"),)),
    "command": ("/srv/app/publish", "", (RunsProgram("the target", Path("/srv/app/publish")),)),
    "dotenv": ("/srv/app/f", "", (FILE,)),
    "file": ("/srv/app/f", "", (FILE,)),
    "gcp-secret-manager": ("projects/mine/secrets/key", "", (ActsAs("Google"),)),
    "github-actions": ("acme/shop", "token=t", ()),
    "infisical": ("https://app.infisical.com/p/prod#KEY", "token=t", ()),
    "json": ("/srv/app/f#/a", "", (FILE,)),
    "kubernetes": ("prod/openrouter#KEY", "", (ActsAs("Kubernetes"),)),
    "redis": ("rediss://cache.internal#key", "", ()),
    "vault": ("https://vault.internal/secret/app#KEY", "kubernetes_role=r", (ActsAs("Kubernetes"),)),
    "webhook": ("https://hooks.internal/", "secret=whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", ()),
    "yaml": ("/srv/app/f#a", "", (FILE,)),
}
"""A target of each kind, the option that gives it a credential of its own if it can have one, and what it then uses."""
BESIDE = {
    ("azure-key-vault", "client_secret"): "&tenant_id=t&client_id=00000000-0000-0000-0000-000000000000",
    ("infisical", "client_secret"): "&client_id=c",
    ("vault", "secret_id"): "&role_id_env=R",
    ("vault", "kubernetes_token"): "&kubernetes_role=r",
    ("vault", "ca"): "&token_env=T",
}
"""What an option, without its ending, cannot be without."""
NAMED: dict[object, str] = {ReadsFile: "/named", ReadsVariable: "NAMED", RunsProgram: "/named"}


def fields() -> Iterator[tuple[str, str, Any]]:
    return ((kind, name, field) for kind in kinds() for name, field in about(kind).options.model_fields.items())


OPTIONS = [(kind, name, mark) for kind, name, field in fields() if field.description for mark in marks_of(field)]


def opened(kind: str, target: str, query: str) -> tuple[MachineUse, ...]:
    place, hash_, fragment = target.partition("#")
    return open_publisher(kind, Secret(f"{place}{'?' if query else ''}{query}{hash_}{fragment}")).uses


def test_every_kind_is_in_this_table() -> None:
    assert LEAST.keys() == set(kinds())


@pytest.mark.parametrize("kind", kinds())
def test_without_a_credential_of_its_own_it_uses_what_it_says(kind: str) -> None:
    target, own, uses = LEAST[kind]
    assert opened(kind, target, own) == uses


@pytest.mark.parametrize(("kind", "option", "mark"), OPTIONS)
def test_what_an_option_names_is_said(kind: str, option: str, mark: Names) -> None:
    named = NAMED[mark.use]
    query = f"{option}={named}{BESIDE.get((kind, option.rpartition('_')[0]), '')}"
    uses = opened(kind, LEAST[kind][0], query)
    assert {mark.use(option, named), mark.use(option, Path(named))} & set(uses)
    assert ActsAs("Azure") not in uses
    assert ActsAs("Google") not in uses
    assert (ActsAs("Kubernetes") in uses) == (kind == "kubernetes" and option != "kubeconfig")


def test_a_socket_is_said() -> None:
    assert opened("redis", "unix:///run/s#key", "") == (OpensSocket("the target", "/run/s"),)


def test_what_looks_like_a_reference_to_the_machine_is_marked_as_one() -> None:
    """By the name of an option, or by its type: one that is added without a mark is found here."""
    for kind, name, field in fields():
        suspicious = name.endswith(("_file", "_env", "_dir", "profile", "socket")) or _holds_path(field.annotation)
        assert bool(marks_of(field)) == suspicious, f"{kind}: {name}"


def _holds_path(annotation: object) -> bool:
    return annotation is Path or any(map(_holds_path, get_args(annotation)))
