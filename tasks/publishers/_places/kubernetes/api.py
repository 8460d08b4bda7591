"""What we ask of the API server: one Secret read and applied, one annotation on a workload's pods.

A Secret is written by server-side apply, whose rule is: what a field manager applied before and does not apply now is
removed, unless somebody else applies it too. So each key has a field manager of its own, and two rotations may share a
Secret. The ``resourceVersion`` in what is applied makes the API server refuse it when the Secret was changed meanwhile.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from config.secret import Secret
from tasks.publishers._places.kubernetes.client import Client
from tasks.publishers._places.kubernetes.faults import UNREADABLE, Absent, Asking, asked, raised_for

MANAGER: Final = "openrouter-rotator"

_ANNOTATION_NAME: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"

Kind = Literal["deployment", "statefulset", "daemonset"]
_Fields = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Workload:
    """What runs pods that use the Secret, in its namespace."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of one Secret."""

    namespace: str
    secret: str
    key: str

    @property
    def annotation(self) -> str:
        """Of the Secret: says which publication the key holds."""
        return f"{MANAGER}/{self._slot}"

    @property
    def workload_annotation(self) -> str:
        """Of a workload's pods: says with which publication they were last restarted."""
        return f"{self.secret}.{MANAGER}/{self._slot}"

    @property
    def manager(self) -> str:
        """The field manager that owns the key and its annotation."""
        return f"{MANAGER}:{self._slot}"

    @property
    def _slot(self) -> str:
        """The key, or what stands for one that no annotation's name may contain."""
        whole = _ANNOTATION_NAME.fullmatch(self.key) is not None
        return self.key if whole else f"sha256-{sha256(self.key.encode()).hexdigest()[:40]}"


@dataclass(frozen=True, slots=True)
class Found:
    """What the Secret holds for one entry, and what of the Secret decides whether it can be written."""

    revision: str
    held: Secret | None
    note: str | None
    type: str
    immutable: bool
    leaving: bool


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True)


class _Metadata(_Lenient):
    revision: str = Field(alias="resourceVersion", min_length=1)
    annotations: dict[str, str] | None = None
    leaving_at: str | None = Field(None, alias="deletionTimestamp")


class _Secret(_Lenient):
    kind: Literal["Secret"]
    metadata: _Metadata
    data: dict[str, str] | None = None
    type: str = "Opaque"
    immutable: bool | None = None


class Api:
    """The API server, for one call of ours and one entry."""

    def __init__(self, label: str, client: Client, entry: Entry) -> None:
        self._client = client
        self._entry = entry
        self._path = f"/api/v1/namespaces/{entry.namespace}/secrets/{entry.secret}"
        self._asking = Asking(label, "get", "secrets", entry.namespace, entry.secret)

    def secret(self) -> Found | None:
        """What is there; None for no Secret."""
        try:
            answer = asked(lambda: self._client.ask("GET", self._path), self._asking)
        except Absent:
            return None
        return self._parsed(answer, self._asking)

    def created(self) -> Found:
        """The Secret, empty if it was not there. This field manager owns nothing, so it can take nothing away."""
        asking = replace(self._asking, verb="create", changes=True)
        return self._parsed(self._applied({}, MANAGER, asking), asking)

    def apply(self, note: str, value: str, revision: str, *, force: bool) -> None:
        """Write the value, in base64, and the annotation. ``force`` takes the key from other field managers; else it is
        a ``Conflict`` if they set another value. Raises ``ChangedMeanwhile`` unless the Secret is at ``revision``."""
        asking = replace(self._asking, verb="patch", changes=True)
        self._applied(self._fields(note, value), self._entry.manager, asking, revision=revision, force=force)

    def let_go(self, revision: str) -> None:
        """Take away what ``apply`` wrote, as far as it is still ours alone. Raises what ``apply`` raises."""
        asking = replace(self._asking, verb="patch", changes=True)
        self._applied({}, self._entry.manager, asking, revision=revision)

    def rehearse(self, *, force: bool) -> None:
        """Raise what ``apply`` would, and ``created`` for a Secret that is not there; change nothing."""
        fields = self._fields("rehearsal", b64encode(b"rehearsal").decode())
        self._applied(fields, self._entry.manager, replace(self._asking, verb="create"), force=force, dry_run=True)

    def remove(self, revision: str) -> None:
        """Take key and annotation away, whoever owns them. Raises ``ChangedMeanwhile`` as ``apply`` does."""
        metadata = {"resourceVersion": revision, "annotations": {self._entry.annotation: None}}
        body = {"metadata": metadata, "data": {self._entry.key: None}}
        asking = replace(self._asking, verb="patch", changes=True)
        with suppress(Absent):
            asked(lambda: self._client.ask("PATCH", self._path, {"fieldManager": MANAGER}, body, _MERGE), asking)

    def restart(self, workload: Workload, why: str, *, dry_run: bool = False) -> None:
        """Say ``why`` in the annotations of a workload's pods; where that is new, they are replaced by new ones."""
        resource = f"{workload.kind}s"
        path = f"/apis/apps/v1/namespaces/{self._entry.namespace}/{resource}/{workload.name}"
        query = {"fieldManager": MANAGER, **_dry(dry_run)}
        asking = replace(self._asking, verb="patch", resource=resource, name=workload.name)
        if not dry_run:
            asking = replace(
                asking,
                changes=True,
                safe=f"The Secret holds the new key, but {workload} was not restarted.",
                unknown=f"The Secret holds the new key; whether {workload} was restarted, publishing again makes sure.",
            )
        body = {"spec": {"template": {"metadata": {"annotations": {self._entry.workload_annotation: why}}}}}
        asked(lambda: self._client.ask("PATCH", path, query, body, _MERGE), asking)

    def _fields(self, note: str, value: str) -> _Fields:
        return {"metadata": {"annotations": {self._entry.annotation: note}}, "data": {self._entry.key: value}}

    def _applied(
        self,
        fields: _Fields,
        manager: str,
        asking: Asking,
        *,
        revision: str = "",
        force: bool = False,
        dry_run: bool = False,
    ) -> bytes:
        metadata = {"name": self._entry.secret, "namespace": self._entry.namespace, **fields.get("metadata", {})}
        if revision:
            metadata["resourceVersion"] = revision
        body = {"apiVersion": "v1", "kind": "Secret", **fields, "metadata": metadata}
        query = {"fieldManager": manager, "force": "true" if force else "false", **_dry(dry_run)}
        return asked(lambda: self._client.ask("PATCH", self._path, query, body, _APPLY), asking)

    def _parsed(self, answer: bytes, asking: Asking) -> Found:
        try:
            return _found(_Secret.model_validate_json(answer), self._entry)
        except ValueError:
            pass
        # Raised outside the handler: the foreign error may hold the answer.
        raise raised_for(UNREADABLE, asking)


def _found(secret: _Secret, entry: Entry) -> Found:
    value = b64decode((secret.data or {}).get(entry.key, ""), validate=True).decode(errors="surrogateescape")
    return Found(
        revision=secret.metadata.revision,
        held=Secret(value) if value else None,
        note=(secret.metadata.annotations or {}).get(entry.annotation),
        type=secret.type,
        immutable=bool(secret.immutable),
        leaving=secret.metadata.leaving_at is not None,
    )


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}
