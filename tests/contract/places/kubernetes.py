"""A key of a Secret, for a service account that has the documented role and no more, with a kubeconfig."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import yaml

import tasks.publishers.kubernetes
from config.secret import Secret
from tests.contract.places._kube_cluster import Cluster, Namespace, cluster, namespace
from tests.contract.places.place import Place, Surroundings

WORKLOADS = {"deployments": ("Deployment", "web"), "statefulsets": ("StatefulSet", "worker")}
KEY = "API_KEY"


def documented_role() -> list[Any]:
    """The rules that the module's documentation gives, for a Secret named openrouter."""
    told = (tasks.publishers.kubernetes.__doc__ or "").partition("alone::")[2]
    return list(yaml.safe_load(told)["rules"])


def place(around: Surroundings) -> Iterator[Place]:
    with namespace(cast(Cluster, around.once("kubernetes", cluster))) as own:
        token = own.account(documented_role())
        kubeconfig = own.kubeconfig(around.folder / "kubeconfig", token)
        for resource, (kind, name) in WORKLOADS.items():
            own.workload(resource, kind, name)

        def written() -> dict[str, Any]:
            return dict((own.secret("openrouter") or {}).get("metadata", {}).get("annotations") or {})

        yield Place(
            kind="kubernetes",
            target=Secret(
                f"{own.name}/openrouter?kubeconfig={kubeconfig}&restart=deployment/web,statefulset/worker#{KEY}"
            ),
            credential=token,
            application_reads=lambda: own.value("openrouter", KEY),
            snapshot=lambda: (own.secret("openrouter"), *restarts(own)),
            spoil=lambda: (own.edit("openrouter", {}, immutable=True), own.revoke("rotator")),
            overwrite=lambda value: own.edit("openrouter", {KEY: value}),
            empty=lambda: own.edit("openrouter", {KEY: None}),
            stamped=lambda: str(json.loads(written()[f"openrouter-rotator/{KEY}"])["version"]),
        )


def restarts(own: Namespace) -> list[dict[str, str]]:
    return [own.pods_annotations(resource, name) for resource, (_, name) in WORKLOADS.items()]
